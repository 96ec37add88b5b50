"""Reads back what a run wrote for TensorBoard: the scalars of its training, and its evaluations."""

from pathlib import Path
from typing import Dict

import tensorflow as tf

EVALUATED = ("test", "validation")  # splits, and the names of their evaluations; a run is evaluated on one of them
Scalars = Dict[str, Dict[int, float]]  # tag -> step -> value


def folder_of(split: str) -> str:
    """Returns the folder in the model_dir that Estimator makes of an evaluation's name: to TensorBoard another run."""
    return f"eval_{split}"


def scalars(folder: Path) -> Scalars:
    """Returns all scalars of the event files in a folder; of two with the same step the later written counts.

    What a killed process left cut short is read up to the cut.
    """
    found: Scalars = {}
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda path: (path.stat().st_mtime_ns, path)):
        try:
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                for value in event.summary.value:
                    if value.HasField("simple_value"):
                        found.setdefault(value.tag, {})[event.step] = value.simple_value
        except tf.errors.DataLossError:
            continue
    return found


def evaluations(model_dir: Path) -> Dict[int, Dict[str, float]]:
    """Returns {step: {"loss", "accuracy", "global_step", ...}}, the evaluations of a run so far."""
    found: Dict[int, Dict[str, float]] = {}
    for split in EVALUATED:
        for tag, values in scalars(model_dir / folder_of(split)).items():
            for step, value in values.items():
                found.setdefault(step, {})[tag] = value
    whole = {step: result for step, result in found.items() if {"loss", "accuracy"} <= set(result)}
    return {step: {**result, "global_step": step} for step, result in whole.items()}
