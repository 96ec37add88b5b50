"""Whatever a user writes into the JSON files of a model_dir, every command ends in success or in one clear line."""

import contextlib
import io
import json
import shutil
from pathlib import Path
from typing import Any, Iterator, List, Tuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import RUN

from estimator_mnist import __main__
from estimator_mnist.config import flags
from estimator_mnist.config.experiment import FILE_NAME as EXPERIMENT
from estimator_mnist.config.fields import FIELDS
from estimator_mnist.model_dir.results import FILE_NAME as RESULTS

REPAINT = "\x1b[2J\x1b]0;owned\x07"
ABSENT = object()
SMALL = [None, True, False, 0, 1, -1, 0.0, -0.5, 2, 1.5, "", "64", [], {}, ABSENT]
LARGE = [10**9, 2**31, 2**63, 10**400, 1e308, "x" * 10_000, ["a"] * 1000, [[[[]]]], {"a": {"b": [1]}}]
WRITTEN = [REPAINT, "\ud800", "\x00", "../..", "é\n", "none", "auto", "mnist", ["0", REPAINT], [28, 28, 3], [1, 1, 1]]
VALUES = [*SMALL, *LARGE, *WRITTEN]
RESULT_KEYS = ["model", "train_examples", "untrained", "train_loss", "final", "best", "images_per_second", "seconds"]
NESTED = ["final.test_accuracy", "final.test_loss", "best.global_step", "seconds.training", "untrained.test_loss"]
PLACES = [*((EXPERIMENT, key) for key in [*FIELDS, "extra"]), *((RESULTS, key) for key in [*RESULT_KEYS, *NESTED])]
TEXTS = [b"", b"{", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b"NaN", b"null", b'{"model": 1, "model": 2}']


@pytest.fixture
def edited(run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, for the test to edit."""
    return Path(shutil.copytree(run, tmp_path / "run"))


@pytest.fixture(scope="session")
def picture(tmp_path_factory) -> Path:
    """A picture of a digit."""
    from PIL import Image, ImageDraw

    path = tmp_path_factory.mktemp("pictures") / "one.png"
    image = Image.new("L", (60, 60), 255)
    ImageDraw.Draw(image).line((30, 10, 30, 50), fill=0, width=6)
    image.save(path)
    return path


def call(*words: str) -> Tuple[int, str, str]:
    """Runs the command line in this process; returns its exit code, output and errors."""
    flags.FLAGS.unparse_flags()
    for name in flags.FLAGS:
        flags.FLAGS[name].unparse()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = __main__.main(["estimator_mnist", *words])
    return code, out.getvalue(), err.getvalue()


def assert_success_or_one_line(model_dir: Path, picture: Path, *commands: str) -> None:
    words = {"train": [*RUN], "predict": [str(picture)]}
    for command in commands:
        code, out, err = call(command, *words.get(command, []), "--model_dir", str(model_dir))
        assert "Traceback" not in out + err and "unexpected" not in err, err
        assert "\x1b" not in out + err and "\x07" not in out + err
        if code:
            assert code in (1, 2) and err.startswith("error: ") and err.count("\n") == 1, (command, code, err)
            assert len(err) < 1000
        else:
            assert err == ""


@contextlib.contextmanager
def changed(path: Path, key: str, value: Any) -> Iterator[None]:
    """A context in which a key of a JSON file has another value. A nested key is written "final.test_loss"."""
    before = path.read_bytes()
    content = json.loads(before)
    *parents, last = key.split(".")
    inner = content
    for parent in parents:
        inner = inner[parent]
    if value is ABSENT:
        inner.pop(last, None)
    else:
        inner[last] = value
    path.write_text(json.dumps(content))
    try:
        yield
    finally:
        path.write_bytes(before)


@settings(
    deadline=None,
    derandomize=True,
    max_examples=120,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.sampled_from(PLACES), st.integers(0, len(VALUES) - 1), st.sampled_from(["evaluate", "report", "predict"]))
def test_any_value_of_any_key_gives_success_or_one_line(edited, picture, place, index, command):
    file, key = place
    with changed(edited / file, key, VALUES[index]):
        assert_success_or_one_line(edited, picture, command)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_file_that_is_no_record_gives_one_line_and_is_kept(edited, picture, text):
    (edited / EXPERIMENT).write_bytes(text)
    assert_success_or_one_line(edited, picture, "evaluate", "report", "predict", "train")
    assert (edited / EXPERIMENT).read_bytes() == text, "nothing is overwritten without --clean"


EDITS: List[Tuple[str, Any]] = [
    *[(key, value) for key in ("train_examples", "test_examples") for value in (0, 3, 2**31)],
    *[
        ("class_names", value)
        for value in ([], [1], list("01234567"), [*"012345678", REPAINT], list(map(str, range(11))))
    ],
    *[("inter_op_threads", value) for value in (10**9, 2000)],
    ("model", "conv"),
    ("model", "lenet5"),
    ("image_shape", [1, 1, 1]),
    ("image_shape", [28, 28, 3]),
    ("image_shape", [4096, 4096, 1]),
    ("batch_size", 2**31 - 1),
    ("train_epochs", 2**31 - 1),
    ("train_steps", 1),
    ("train_steps", 2**31 - 1),
    ("validation_size", 500),
    ("lenet5_form", "1998"),
    ("seed", 5),
    ("dataset", "no_such_set"),
    ("dataset", "../../etc"),
    ("dataset", REPAINT),
    ("source", "idx"),
    ("source", "tfds"),
    ("data_dir", "\x00"),
    ("idx_dir", "\x00"),
    ("data_digest", REPAINT),
    ("strategy", "multi_worker"),
    ("eval_batch_size", 2**31 - 1),
    ("gpu_memory_fraction", 1e-300),
]


@pytest.mark.parametrize("key, value", EDITS, ids=str)
@pytest.mark.usefixtures("offline")
def test_a_plausible_edit_of_the_experiment_gives_success_or_one_line(edited, picture, key, value):
    with changed(edited / EXPERIMENT, key, value):
        assert_success_or_one_line(edited, picture, "evaluate", "report", "predict", "train")


@pytest.mark.parametrize(
    "key, value", [("final", None), ("train_loss", []), ("seconds", {"training": 1}), ("best.global_step", "last")]
)
def test_corrupt_results_are_recomputed_by_the_same_command(edited, key, value):
    before = json.loads((edited / RESULTS).read_text())
    with changed(edited / RESULTS, key, value):
        code, _, err = call("report", "--model_dir", str(edited))
        assert code == 2 and "is not finished" in err
        code, _, err = call("train", *RUN, "--model_dir", str(edited))
        assert (code, err) == (0, "")
        after = json.loads((edited / RESULTS).read_text())
        assert all(after[name] == before[name] for name in ("untrained", "train_loss", "final", "best"))


def test_escape_sequences_in_class_names_do_not_reach_the_terminal(edited, picture):
    names = [*"012345678", f"nine{REPAINT}"]
    with changed(edited / EXPERIMENT, "class_names", names):
        code, out, err = call("predict", str(picture), "--model_dir", str(edited))
        assert (code, err) == (0, "") and "\x1b" not in out and "\x07" not in out
        code, out, err = call("evaluate", "--model_dir", str(edited))
        assert code == 2 and "its class_names differs" in err and "\x1b" not in err
