"""The training task: one definition for all peers. It imports no framework: each peer has its own environment."""

import json
import sys
import time
from pathlib import Path
from typing import Callable, NamedTuple, Tuple

import numpy as np


class Task(NamedTuple):
    """A network of `--model`, with the notebook's batch size and dropout, and the length of its training."""

    model: str
    batch_size: int
    warm_up: int  # steps before the measured ones
    steps: int  # measured steps
    variant: str  # of the peer
    data_dir: str  # folder of the four decoded .npy files of MNIST


SIZES = {"dense": (64, 300, 3000), "conv": (128, 15, 105)}
DROPOUT = 0.2
LEARNING_RATE = 0.001


def from_command_line() -> Task:
    """Reads MODEL DATA_DIR VARIANT."""
    model, data_dir, variant = sys.argv[1:4]
    return Task(model, *SIZES[model], variant, data_dir)


def images_and_labels(task: Task) -> Tuple[np.ndarray, np.ndarray]:
    """Returns the training split: float32 [60000, 28, 28, 1] in [0, 1], and int32 [60000]."""
    images, labels = (np.load(Path(task.data_dir, f"train-{kind}.npy")) for kind in ("images", "labels"))
    return images.astype(np.float32) / np.float32(255), labels


def measure(task: Task, train: Callable[[int], object]) -> None:
    """Calls train(steps) for the warm-up and then for the measured steps, and prints the throughput."""
    train(task.warm_up)
    began = time.perf_counter()
    train(task.steps)
    seconds = time.perf_counter() - began
    report(task.steps * task.batch_size / seconds)


def report(images_per_second: float) -> None:
    print(json.dumps({"images_per_second": images_per_second}), flush=True)
