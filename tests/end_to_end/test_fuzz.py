"""Arbitrary flags and corrupt files end in success or in one clear line, never in a traceback or half a file."""

import contextlib
import dataclasses
import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import List, Optional

import numpy as np
import pytest
from absl.testing import flagsaver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import input_fns
from estimator_mnist.config import flags
from estimator_mnist.config.experiment import FILE_NAME, Experiment
from estimator_mnist.model_dir import checkpoints, prepare, results
from input_fns import InputError
from input_fns.sources import idx

quick = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)

NAMES = [name for name in flags.FLAGS if flags.FLAGS[name].help and name in Experiment.__dataclass_fields__]
VALUES = st.one_of(
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(str),
    st.sampled_from(["true", "false", "none", "", "adam", "conv", "stream", "one_cycle", "0x10", "1e999", "--", "é\n"]),
    st.text(max_size=12),
)
WORDS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(NAMES), VALUES).map(lambda pair: [f"--{pair[0]}", pair[1]]),
        st.tuples(st.sampled_from(NAMES), VALUES).map(lambda pair: [f"--{pair[0]}={pair[1]}"]),
        st.text(max_size=10).map(lambda word: [word]),
        st.sampled_from(["train", "evaluate", "--clean", "--no", "---", "-x", "--flagfile=/nowhere"]).map(
            lambda w: [w]
        ),
    ),
    max_size=4,
).map(lambda pairs: [word for pair in pairs for word in pair])


def one_line(error: Exception) -> None:
    assert str(error) and "Traceback" not in str(error) and len(str(error).splitlines()) == 1, str(error)


@settings(quick, max_examples=500)
@given(WORDS)
def test_any_flags_give_an_experiment_or_one_line(sample, words: List[str]):
    with flagsaver.flagsaver(), contextlib.redirect_stdout(io.StringIO()):
        flags.FLAGS.unparse_flags()
        try:
            flags.parse(["estimator_mnist", *words])
            flags.model_dir()
            experiment = flags.experiment(sample)
            assert Experiment.from_json(json.loads(json.dumps(dataclasses.asdict(experiment)))) == experiment
        except InputError as error:
            one_line(error)
        finally:
            flags.FLAGS.mark_as_parsed()


def corrupted(original: bytes, position: float, length: int, replacement: Optional[bytes]) -> bytes:
    """Returns the bytes with some of them replaced, or truncated there if there is no replacement."""
    at = int(position * len(original))
    return original[:at] if replacement is None else original[:at] + replacement + original[at + length :]


CORRUPTIONS = st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.none(), st.binary(max_size=40)))


@settings(quick, max_examples=300)
@given(st.sampled_from(sorted(idx.FILE_NAMES)), CORRUPTIONS, st.booleans())
def test_corrupt_idx_files_give_data_or_one_line(which, corruption, zipped):
    import gzip

    with tempfile.TemporaryDirectory() as scratch:
        for (split, kind), name in idx.FILE_NAMES.items():
            array = np.arange(20 * 784).reshape(20, 28, 28) % 256 if kind == "images" else np.arange(20) % 10
            content = idx.to_bytes(array.astype(np.uint8))
            content = gzip.compress(content, mtime=0) if zipped else content
            content = corrupted(content, *corruption) if (split, kind) == which else content
            Path(scratch, name).write_bytes(content)
        try:
            data = input_fns.find(input_fns.Request("mnist", "idx", idx_dir=scratch))
            assert data.train.examples == data.test.examples == 20
            images, labels = data.train.arrays()
            assert images.shape == (20, *data.image_shape) and labels.max() < 10
        except InputError as error:
            one_line(error)


@settings(quick, max_examples=200)
@given(
    st.one_of(CORRUPTIONS, st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
)
def test_a_corrupt_experiment_json_is_kept_and_refused_in_one_line(corruption):
    experiment = Experiment(model="dense", source="sample")
    text = json.dumps(dataclasses.asdict(experiment), indent=1).encode()
    content = corrupted(text, *corruption) if isinstance(corruption, tuple) else json.dumps(corruption).encode()
    with tempfile.TemporaryDirectory() as scratch:
        model_dir = Path(scratch)
        (model_dir / FILE_NAME).write_bytes(content)
        try:
            with prepare.opened_for(experiment, model_dir, clean=False):
                assert Experiment.read(model_dir) == experiment
        except InputError as error:
            one_line(error)
            assert (model_dir / FILE_NAME).read_bytes() == content, "nothing is lost"
        assert not list(model_dir.glob("*.new*"))


@settings(quick, max_examples=100)
@given(CORRUPTIONS)
def test_a_corrupt_results_json_is_ignored(run, corruption):
    original = (run / results.FILE_NAME).read_bytes()
    expected = results.read(run)
    assert expected
    with tempfile.TemporaryDirectory() as scratch:
        Path(scratch, results.FILE_NAME).write_bytes(corrupted(original, *corruption))
        outcome = results.read(Path(scratch))
        assert outcome is None or {key: type(value) for key, value in outcome.items()} == {
            key: type(value) for key, value in expected.items()
        }


@settings(quick, max_examples=200)
@given(st.data())
@pytest.mark.usefixtures("half")
def test_a_corrupt_checkpoint_is_skipped(half, data):
    """Whatever happens to its files, a checkpoint is either equal to the one that was written, or skipped."""
    with tempfile.TemporaryDirectory() as scratch:
        model_dir = Path(scratch)
        for path in half.glob("model.ckpt-[123]00.*"):
            if not path.name.endswith(".meta"):
                shutil.copy(path, model_dir)
        expected = {step: _values(model_dir, step) for step in (100, 200, 300)}
        for _ in range(data.draw(st.integers(1, 3))):
            path = data.draw(st.sampled_from(sorted(model_dir.iterdir())))
            if data.draw(st.booleans()) and path.suffix == ".index":
                path.unlink()
                (model_dir / "checkpoint").write_bytes(data.draw(st.binary(max_size=30)))
            else:
                path.write_bytes(corrupted(path.read_bytes(), *data.draw(CORRUPTIONS)))
        before = sorted(path.name for path in model_dir.glob("model.ckpt*"))
        try:
            step, skipped = checkpoints.choose(model_dir)
            if step:
                assert _values(model_dir, step) == expected[step]
            assert all(reason and "\n" not in reason for reason in skipped.values())
        except InputError as error:
            one_line(error)
        assert sorted(path.name for path in model_dir.glob("model.ckpt*")) == before, "nothing is deleted"


def _values(model_dir: Path, step: int) -> dict:
    import tensorflow as tf

    reader = tf.train.load_checkpoint(checkpoints.prefix(model_dir, step))
    return {name: reader.get_tensor(name).tobytes() for name in reader.get_variable_to_shape_map()}
