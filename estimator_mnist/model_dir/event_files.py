"""Reads the scalars and the evaluations that a run wrote for TensorBoard."""

from pathlib import Path
from typing import Dict

import tensorflow as tf

EVALUATED = ("test", "validation")  # the splits, which name their evaluations. A run is evaluated on one of them.
Scalars = Dict[str, Dict[int, float]]  # tag -> step -> value


def folder_of(split: str) -> str:
    """Returns the folder that Estimator derives from an evaluation's name. TensorBoard shows it as a run."""
    return f"eval_{split}"


def scalars(folder: Path) -> Scalars:
    """Returns all scalars of the event files in a folder. Of two values of one step, the one written later counts.

    A file that a kill has cut short is read up to the cut.
    """
    values_by_tag: Scalars = {}
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda path: (path.stat().st_mtime_ns, path)):
        try:
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                for value in event.summary.value:
                    if value.HasField("simple_value"):
                        values_by_tag.setdefault(value.tag, {})[event.step] = value.simple_value
        except tf.errors.DataLossError:
            continue
    return values_by_tag


def evaluations(model_dir: Path) -> Dict[int, Dict[str, float]]:
    """Returns the evaluations of a run so far: {step: {"loss", "accuracy", "global_step", ...}}."""
    figures_by_step: Dict[int, Dict[str, float]] = {}
    for split in EVALUATED:
        for tag, values in scalars(model_dir / folder_of(split)).items():
            for step, value in values.items():
                figures_by_step.setdefault(step, {})[tag] = value
    complete = {step: figures for step, figures in figures_by_step.items() if {"loss", "accuracy"} <= set(figures)}
    return {step: {**figures, "global_step": step} for step, figures in complete.items()}


def close_writers(model_dir: Path) -> None:
    """Closes the event files that this process writes below a model_dir.

    TensorFlow keeps a writer for each folder. The writer of a run that was deleted would write on, into a file that is
    gone, so a later run of this process in the same folder needs one of its own.
    """
    cache = tf.compat.v1.summary.FileWriterCache
    for folder in {str(model_dir), *(str(model_dir / folder_of(split)) for split in EVALUATED)}:
        with cache._lock:  # it offers to clear only all, among them those of the caller's Estimators
            writer = cache._cache.pop(folder, None)
        if writer is not None:
            writer.close()
