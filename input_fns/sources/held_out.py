"""A test split cut from the training examples of a data set that has none: stratified, and the same every time."""

from typing import Tuple

import numpy as np

from input_fns.errors import InputError

SEED = 0  # fixed: a seed of the run would change what it is tested on


def cut(labels: np.ndarray, test_fraction: float) -> Tuple[np.ndarray, np.ndarray]:
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
