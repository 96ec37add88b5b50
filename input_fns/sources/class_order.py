"""An order of examples in which every part of a split holds all classes."""

import numpy as np

SEED = 0  # fixed, so that every run on the same data has the same order


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
