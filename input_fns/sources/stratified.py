"""Stratified splits and orders: each part of a data set holds all of its classes."""

from typing import Tuple

import numpy as np

from input_fns.errors import InputError

SEED = 0  # fixed, so that every run on the same data has the same test split and the same order


def train_and_test(labels: np.ndarray, test_fraction: float) -> Tuple[np.ndarray, np.ndarray]:
    """Returns which examples are for training and which for the test, int64 [n] each, in increasing order.

    Args:
        labels: int [examples].
        test_fraction: The part of each class that is for the test, between 0 and 1. Of a class of two or more examples,
            at least one is in each part. A class of one example is for training.

    Raises:
        InputError: The fraction is out of range, or every class has one example.
    """
    if not 0 < test_fraction < 1:
        raise InputError(f"--test_fraction {test_fraction}: must be between 0 and 1, both exclusive")
    for_test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        examples = np.flatnonzero(labels == label)
        count = min(max(round(test_fraction * len(examples)), 1), len(examples) - 1)
        # Each class has its own generator, so that a further class changes nothing in this one.
        for_test[np.random.default_rng((SEED, int(label))).permutation(examples)[:count]] = True
    if not for_test.any():
        raise InputError("--test_fraction: no class has two examples, so no test split can be cut; add a test split")
    return np.flatnonzero(~for_test), np.flatnonzero(for_test)


def interleaved(labels: np.ndarray) -> np.ndarray:
    """Returns the row of each example, int64 [n]: classes come in turn, in proportion to their sizes.

    Within its class an example comes at a random place. Example i of the n of a class comes at (i + 1/2) / n of the
    way. So even a small shuffle buffer holds every class, and so does a validation split that is taken from the end of
    the training split.

    Args:
        labels: int [n], 0 or larger.
    """
    by_class = np.argsort(labels, kind="stable")
    place, rows = np.empty(len(labels)), np.empty(len(labels), np.int64)
    ends = np.cumsum(np.bincount(labels))
    for label, (first, end) in enumerate(zip([0, *ends], ends)):
        shuffled = np.random.default_rng((SEED, label)).permutation(end - first)
        place[by_class[first:end]] = (shuffled + 0.5) / max(end - first, 1)
    rows[np.argsort(place, kind="stable")] = np.arange(len(labels))
    return rows
