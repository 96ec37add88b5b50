"""The export command: writes a checkpoint in the formats asked for, and checks each against Estimator."""

import functools
import tempfile
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import tensorflow as tf

import input_fns
from estimator_mnist.config.experiment import FILE_NAME, Experiment
from estimator_mnist.export import runtimes
from estimator_mnist.export.formats import FORMATS, INT8_LOSS, Source
from estimator_mnist.model import cpu_parallelism, serving_signatures
from estimator_mnist.model_dir import checkpoints, saved_models
from estimator_mnist.system import errors, terminal
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.paths import is_remote, path_of, replace_file, rmtree
from estimator_mnist.training import estimator as estimators
from estimator_mnist.training import run_config
from estimator_mnist.training.estimator import Evaluation

CALIBRATION_IMAGES = 500
EPSILON = 1e-9  # accuracies are multiples of 1 / examples


class Row(NamedTuple):
    """A written and checked format."""

    format: str
    path: str
    bytes: int
    largest_logit_difference: float  # from Estimator's, over the evaluated split
    accuracy: float  # on it
    images_per_second: float  # classified


def export(
    experiment: Experiment, data: input_fns.Data, model_dir: Path, checkpoint: Optional[str], names: Sequence[str]
) -> Tuple[List[Row], List[RunError]]:
    """Writes a checkpoint in some formats to model_dir/export and returns what came of it.

    A format appears under its name only when it has been checked: on the whole evaluated split it must give the classes
    that the Estimator gives, int8 an accuracy that is at most INT8_LOSS lower.

    Args:
        experiment: The experiment of the model_dir.
        data: Its data.
        model_dir: The model_dir.
        checkpoint: Path prefix of a checkpoint; None takes the newest.
        names: Of FORMATS.

    Returns:
        A row for the checkpoint itself and one for each format written, and an error for each that was not.

    Raises:
        InputError: There is no checkpoint, or the one named is damaged or another network's.
    """
    experiment = cpu_parallelism.threads_within_ops(experiment)
    checkpoint = checkpoints.checked(experiment, model_dir, checkpoint)
    checkpoints.remove_unfinished(model_dir)
    (model_dir / saved_models.FOLDER).mkdir(exist_ok=True)
    estimator = estimators.create(experiment, model_dir, data)
    check = _check_by(estimator.classify(checkpoint))
    place = path_of(checkpoint)
    size = sum(path.stat().st_size for path in place.parent.glob(f"{place.name}.[di]*"))
    rows, failures = [check.row("checkpoint", place, size, check.reference)], []
    # Beside the files, so that each can be renamed to its place; a remote one is copied to it.
    beside = None if is_remote(model_dir) else model_dir / saved_models.FOLDER
    with tempfile.TemporaryDirectory(prefix="new-", dir=beside) as scratch:
        source = _source(experiment, data, estimator, checkpoint, Path(scratch))
        for name in names:
            try:
                rows.append(_write_and_check(name, source, Path(scratch, name), model_dir, check))
            except Exception as error:
                failures.append(_told(name, error, model_dir, data))
    return rows, failures


def show(rows: Sequence[Row], split: str = "test") -> None:
    """Prints what was written as a table; split: what each was checked on."""
    lines = [
        [
            *(row.format, f"{row.bytes / 1000:,.0f} kB", f"{row.largest_logit_difference:.1g}"),
            *(terminal.percent(row.accuracy), f"{row.images_per_second:,.0f}", row.path),
        ]
        for row in rows
    ]
    headers = ["format", "size", "largest logit difference", f"{split} accuracy", "images/s", "where"]
    terminal.say(terminal.table(lines, headers))


def _write_and_check(name: str, source: Source, scratch: Path, model_dir: Path, check: "_Check") -> Row:
    form, folder = FORMATS[name], model_dir / saved_models.FOLDER
    scratch.mkdir()
    if form.file:
        new, final = scratch / Path(form.file).name, folder / form.file
    else:
        versions = folder / _version_folder(source, model_dir)
        final = saved_models.version_of(versions, _step(source.checkpoint)) or saved_models.next_version(versions)
        new = final if final.exists() else scratch / final.name
    if new != final:
        form.write(source, new)
    outcome = form.run(new, check.images, source.experiment.eval_batch_size)
    wrong = check.difference(outcome, form.exact)
    if wrong:
        if new == final:
            rmtree(final)
        raise RunError(f"--formats {name}: not written: {wrong}")
    if new != final:
        _put(new, final)
    size = sum(path.stat().st_size for path in [final, *final.rglob("*")] if path.is_file())
    return check.row(name, final, size, outcome)


def _put(new: Path, final: Path) -> None:
    """Moves a file, or a version of a SavedModel, to its place, where it appears whole or not at all."""
    final.parent.mkdir(parents=True, exist_ok=True)
    if not is_remote(final):
        new.replace(final)
    elif new.is_dir():
        saved_models.put_version(new, final.parent)
    else:
        replace_file(final, new.read_bytes())


class _Check(NamedTuple):
    """What a format is checked against: the evaluated split, and what the Estimator makes of it."""

    images: np.ndarray  # float32 [n, height, width, channels] in [0, 1]
    labels: np.ndarray  # int32 [n]
    reference: runtimes.Outcome

    def difference(self, outcome: runtimes.Outcome, exact: bool) -> Optional[str]:
        """Returns in what a format is worse than it may be, None if in nothing."""
        if not np.isfinite(outcome.logits).all():
            return "its logits are not finite"
        if exact:
            others = int(np.sum(outcome.classes != self.reference.classes))
            differ = f"{others:,} of {len(self.labels):,} images get another class than from the Estimator"
            return differ if others else None
        accuracy, wanted = self._accuracy(outcome), self._accuracy(self.reference)
        if accuracy < wanted - INT8_LOSS - EPSILON:
            limit = f"more than {100 * INT8_LOSS:.1f} points below {100 * wanted:.2f}%"
            return f"its accuracy is {100 * accuracy:.2f}%, {limit}"
        return None

    def row(self, name: str, path: Path, size: int, outcome: runtimes.Outcome) -> Row:
        difference = float(np.abs(outcome.logits - self.reference.logits).max())
        return Row(name, str(path), size, difference, self._accuracy(outcome), outcome.images_per_second)

    def _accuracy(self, outcome: runtimes.Outcome) -> float:
        return float(np.mean(outcome.classes == self.labels))


def _check_by(evaluation: Evaluation) -> _Check:
    """Returns the check against an evaluation by the Estimator. Its time includes that of making graph and session."""
    outputs = evaluation.outputs
    speed = len(outputs["label"]) / evaluation.seconds
    reference = runtimes.Outcome(outputs["classes"], outputs["logits"], speed)
    return _Check(_as_float(outputs["image"]), outputs["label"], reference)


def _source(
    experiment: Experiment, data: input_fns.Data, estimator: tf.estimator.Estimator, checkpoint: str, scratch: Path
) -> Source:
    receiver = functools.partial(serving_signatures.plain_input_receiver, experiment.image_shape)
    plain = estimator.export_saved_model(str(scratch / "plain"), receiver, checkpoint_path=checkpoint)
    # The first batch of a run of this seed: so many training images, chosen at random.
    count = min(CALIBRATION_IMAGES, experiment.train_examples)
    shuffled = functools.partial(
        input_fns.train_input_fn, data.train, count, experiment.seed, stops=[1], input=experiment.input
    )
    with tf.Graph().as_default():  # not eagerly, which would take all memory of a GPU
        features, _ = tf.compat.v1.data.make_one_shot_iterator(shuffled()).get_next()
        with tf.compat.v1.Session(config=run_config.session_config(experiment)) as session:
            calibration = _as_float(session.run(features[serving_signatures.IMAGE]))
    return Source(experiment, estimator, checkpoint, Path(plain.decode()), calibration)


def _as_float(images: np.ndarray) -> np.ndarray:
    """Returns images as `layers.network.scaled` does: float32 in [0, 1] from uint8 of 0 to 255."""
    return images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images


def _step(checkpoint: str) -> int:
    return int(tf.compat.v1.train.NewCheckpointReader(checkpoint).get_tensor("global_step"))


def _version_folder(source: Source, model_dir: Path) -> str:
    """Returns the model folder of a checkpoint: those of training where it is the last or the best one."""
    step = _step(source.checkpoint)
    if step == source.experiment.total_steps:
        return saved_models.FINAL
    return saved_models.BEST if step in checkpoints.steps(model_dir / checkpoints.KEPT) else f"step-{step}"


def _told(name: str, error: Exception, model_dir: Path, data: input_fns.Data) -> RunError:
    """Returns the error of a format as one line; raises it again where it is a fault of the program."""
    told: Any = error if isinstance(error, RunError) else errors.translated(error, model_dir / FILE_NAME, data)
    if told is None:
        raise error
    return told
