"""Reads back the scalars that a run wrote for TensorBoard."""

from pathlib import Path
from typing import Dict

import tensorflow as tf

Scalars = Dict[str, Dict[int, float]]  # tag -> step -> value


def scalars(folder: Path) -> Scalars:
    """Returns all scalars of the event files in a folder; of two with the same step the later written counts.

    What a killed process left cut short is read up to the cut.
    """
    found: Scalars = {}
    for path in sorted(folder.glob("events.out.tfevents.*"), key=lambda path: path.stat().st_mtime_ns):
        try:
            for event in tf.compat.v1.train.summary_iterator(str(path)):
                for value in event.summary.value:
                    if value.HasField("simple_value"):
                        found.setdefault(value.tag, {})[event.step] = value.simple_value
        except tf.errors.DataLossError:
            continue
    return found
