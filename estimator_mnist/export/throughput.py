"""Inference throughput, measured the same way in every runtime."""

import time
from typing import Callable, List, Sequence, Tuple

import numpy as np

AT_LEAST_SECONDS = 1.0


def timed(
    call: Callable[[np.ndarray], Sequence[np.ndarray]], images: np.ndarray, batch_size: int
) -> Tuple[List[np.ndarray], float]:
    """Classifies all images once for the outputs, then the first batch for AT_LEAST_SECONDS for the throughput.

    Args:
        call: Takes a batch of images and returns arrays with a row for each.
        images: float32 [n, height, width, channels].
        batch_size: Images in a batch.

    Returns:
        The arrays for all images, and images per second.
    """
    batches = [images[first : first + batch_size] for first in range(0, len(images), batch_size)]
    parts = [call(batch) for batch in batches]
    began, done = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < AT_LEAST_SECONDS:
        done += len(call(batches[0])[0])
    return [np.concatenate(arrays) for arrays in zip(*parts)], done / seconds
