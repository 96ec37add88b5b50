"""The export command: writes a checkpoint in the requested formats, and checks each against the Estimator."""

import functools
import tempfile
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import input_fns
from estimator_mnist.config.experiment import FILE_NAME, Experiment
from estimator_mnist.export import runtimes
from estimator_mnist.export.formats import FORMATS, INT8_IMAGES, INT8_LOSS, Format, Source
from estimator_mnist.export.throughput import as_float
from estimator_mnist.model import cpu_parallelism, serving_signatures
from estimator_mnist.model_dir import checkpoints, saved_models
from estimator_mnist.system import errors, terminal
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.paths import is_remote, path_of, replace_file, rmtree
from estimator_mnist.training import estimator as estimators
from estimator_mnist.training import run_config
from estimator_mnist.training.estimator import Evaluation
from input_fns.errors import OneLineError, reason

CALIBRATION_IMAGES = 500
PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")  # of tf.numpy_function and tf.py_function
EPSILON = 1e-9  # absorbs rounding: accuracies are multiples of 1 / examples


class Row(NamedTuple):
    """A format that is written and checked."""

    format: str
    path: str
    bytes: int
    largest_logit_difference: float  # from the Estimator's logits, over the evaluated split
    accuracy: float  # on the evaluated split
    images_per_second: float


def export(
    experiment: Experiment, data: input_fns.Data, model_dir: Path, checkpoint: Optional[str], names: Sequence[str]
) -> Tuple[List[Row], List[Exception]]:
    """Writes a checkpoint in some formats to model_dir/export.

    A format appears under its name only after a check on the whole evaluated split. It must predict the same classes as
    the Estimator; int8 may lose up to INT8_LOSS of accuracy, or INT8_IMAGES images, instead.

    Args:
        experiment: The experiment of the model_dir.
        data: Its data.
        model_dir: The run's folder.
        checkpoint: Path prefix of a checkpoint. None: the newest.
        names: The formats, keys of FORMATS.

    Returns:
        A row for the checkpoint itself and for each format that was written, and an error for each that was not.

    Raises:
        InputError: There is no checkpoint, or the named one is corrupt or belongs to another network.
        RunError: The network calls Python.
    """
    experiment = cpu_parallelism.threads_within_ops(experiment)
    checkpoint = checkpoints.checked(experiment, model_dir, checkpoint)
    checkpoints.remove_unfinished(model_dir)
    (model_dir / saved_models.FOLDER).mkdir(exist_ok=True)
    estimator = estimators.create(experiment, model_dir, data)
    reference = _reference(estimator.classify(checkpoint))
    rows, failures = [_checkpoint_row(checkpoint, reference)], []
    # A scratch folder on the same file system lets each format be renamed to its place. A remote one is copied.
    parent = None if is_remote(model_dir) else model_dir / saved_models.FOLDER
    with tempfile.TemporaryDirectory(prefix="new-", dir=parent) as scratch:
        source = _source(experiment, data, estimator, checkpoint, Path(scratch))
        for name in names:
            try:
                rows.append(_write_and_check(name, source, Path(scratch, name), model_dir, reference))
            except Exception as error:
                failures.append(_as_run_error(error, model_dir, data))
    return rows, failures


def show(rows: Sequence[Row], split: str = "test") -> None:
    """Prints the written formats as a table. `split`: what they were checked on, "test" or "validation"."""
    lines = [
        [
            *(row.format, f"{row.bytes / 1000:,.0f} kB", f"{row.largest_logit_difference:.1g}"),
            *(terminal.percent(row.accuracy), f"{row.images_per_second:,.0f}", row.path),
        ]
        for row in rows
    ]
    headers = ["format", "size", "largest logit difference", f"{split} accuracy", "images/s", "path"]
    terminal.say(terminal.table(lines, headers))


def _write_and_check(name: str, source: Source, scratch: Path, model_dir: Path, reference: "_Reference") -> Row:
    """Writes a format to the new folder `scratch`, checks it, and moves it to its place in model_dir/export.

    Raises:
        RunError: It cannot be converted or run, or fails the check, and is not kept.
    """
    form = FORMATS[name]
    final = _destination(form, source, model_dir)
    exists = not form.file and final.exists()  # training has exported this very checkpoint: only check it
    written = final if exists else scratch / final.name
    if not exists:
        scratch.mkdir()
        form.write(source, written)
    try:
        outcome = form.run(written, reference.images, source.experiment.eval_batch_size)
    except (OneLineError, OSError, MemoryError, tf.errors.ResourceExhaustedError):
        raise
    except Exception as error:  # each runtime has its own; a user's layer may have ops that it does not know
        raise RunError(f"--formats {name}: not written: its runtime cannot run it ({reason(error)})") from error
    problem = reference.problem(outcome, form.exact)
    if problem:
        if exists:
            rmtree(final)
        raise RunError(f"--formats {name}: not written: {problem}")
    if not exists:
        _move_into_place(written, final)
    size = sum(path.stat().st_size for path in [final, *final.rglob("*")] if path.is_file())
    return reference.row(name, final, size, outcome)


def _destination(form: Format, source: Source, model_dir: Path) -> Path:
    """Returns the path of a format: a file, or a SavedModel's version, which may exist already."""
    folder = model_dir / saved_models.FOLDER
    if form.file:
        return folder / form.file
    versions = folder / _version_folder(source, model_dir)
    return saved_models.version_of(versions, _step(source.checkpoint)) or saved_models.next_version(versions)


def _move_into_place(new: Path, final: Path) -> None:
    """Moves a file, or a version of a SavedModel, to its final path atomically."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if not is_remote(final):
        new.replace(final)
    elif new.is_dir():
        saved_models.put_version(new, final.parent)
    else:
        replace_file(final, new.read_bytes())


class _Reference(NamedTuple):
    """What every format is checked against: the evaluated split and the Estimator's output for it."""

    images: np.ndarray  # [n, height, width, channels], uint8 in [0, 255] or float32 in [0, 1]
    labels: np.ndarray  # int32 [n]
    outcome: runtimes.Outcome

    def problem(self, outcome: runtimes.Outcome, exact: bool) -> Optional[str]:
        """Returns why a format's output is not acceptable, or None if it is."""
        if not np.isfinite(outcome.logits).all():
            return "its logits are not finite"
        if exact:
            differing = int(np.sum(outcome.classes != self.outcome.classes))
            text = f"it classifies {differing:,} of {len(self.labels):,} images differently from the Estimator"
            return text if differing else None
        accuracy, estimators_accuracy = self._accuracy(outcome), self._accuracy(self.outcome)
        allowed = max(INT8_LOSS, INT8_IMAGES / len(self.labels))
        if accuracy < estimators_accuracy - allowed - EPSILON:
            limit = f"more than {100 * allowed:.2g} points below {terminal.percent(estimators_accuracy)}"
            return f"its accuracy is {terminal.percent(accuracy)}, {limit}"
        return None

    def row(self, name: str, path: Path, size: int, outcome: runtimes.Outcome) -> Row:
        """Returns the row of a format. `size`: in bytes."""
        difference = float(np.abs(outcome.logits - self.outcome.logits).max())
        return Row(name, str(path), size, difference, self._accuracy(outcome), outcome.images_per_second)

    def _accuracy(self, outcome: runtimes.Outcome) -> float:
        return float(np.mean(outcome.classes == self.labels))


def _reference(evaluation: Evaluation) -> _Reference:
    """Returns the Estimator's output. Its images per second count the creation of graph and session, too."""
    outputs = evaluation.outputs
    speed = len(outputs["label"]) / evaluation.seconds
    outcome = runtimes.Outcome(outputs["classes"], outputs["logits"], speed)
    return _Reference(outputs["image"], outputs["label"], outcome)


def _checkpoint_row(checkpoint: str, reference: _Reference) -> Row:
    prefix = path_of(checkpoint)
    size = sum(path.stat().st_size for path in prefix.parent.glob(f"{prefix.name}.[di]*"))  # .data-* and .index
    return reference.row("checkpoint", prefix, size, reference.outcome)


def _source(
    experiment: Experiment, data: input_fns.Data, estimator: tf.estimator.Estimator, checkpoint: str, scratch: Path
) -> Source:
    receiver = functools.partial(serving_signatures.plain_input_receiver, experiment.image_shape)
    plain = Path(estimator.export_saved_model(str(scratch / "plain"), receiver, checkpoint_path=checkpoint).decode())
    _check_holds_no_python(plain)
    # The first batch of a run with this seed: training images, chosen at random.
    count = min(CALIBRATION_IMAGES, experiment.train_examples)
    shuffled = functools.partial(
        input_fns.train_input_fn, data.train, count, experiment.seed, stops=[1], input=experiment.input
    )
    with tf.Graph().as_default():  # eager execution would reserve all memory of a GPU
        features, _ = tf.compat.v1.data.make_one_shot_iterator(shuffled()).get_next()
        with tf.compat.v1.Session(config=run_config.session_config(experiment)) as session:
            calibration = as_float(session.run(features[serving_signatures.IMAGE]))
    return Source(experiment, estimator, checkpoint, plain, calibration)


def _check_holds_no_python(saved_model: Path) -> None:
    """Raises RunError if a network calls Python: such a file would run in this process and in no other."""
    graph = (
        saved_model_pb2.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    )
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    name = next((node.name for node in nodes if node.op in PYTHON_OPS), None)
    if name:
        raise RunError(
            f"export: the network calls Python at {name}, which no file can hold; use ops of TensorFlow there"
        )


def _step(checkpoint: str) -> int:
    return int(tf.compat.v1.train.NewCheckpointReader(checkpoint).get_tensor("global_step"))


def _version_folder(source: Source, model_dir: Path) -> str:
    """Returns the name of a checkpoint's model folder: training's own, if the checkpoint is the last or the best."""
    step = _step(source.checkpoint)
    if step == source.experiment.total_steps:
        return saved_models.FINAL
    return saved_models.BEST if step in checkpoints.steps(model_dir / checkpoints.KEPT) else f"step-{step}"


def _as_run_error(error: Exception, model_dir: Path, data: input_fns.Data) -> Exception:
    """Returns an error of a format as a one-line error, or raises it again if it is a bug of this program."""
    if isinstance(error, OneLineError):
        return error
    run_error = errors.translated(error, model_dir / FILE_NAME, data)
    if run_error is None:
        raise error
    return run_error
