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
        call: Takes a batch of images, float32 in [0, 1], and returns arrays with a row for each.
        images: [n, height, width, channels], as `as_float` takes them.
        batch_size: Images in a batch.

    Returns:
        The arrays for all images, and images per second.
    """
    batches = (as_float(images[first : first + batch_size]) for first in range(0, len(images), batch_size))
    parts = [call(batch) for batch in batches]
    first_batch = as_float(images[:batch_size])
    began, done = time.perf_counter(), 0
    while (seconds := time.perf_counter() - began) < AT_LEAST_SECONDS:
        done += len(call(first_batch)[0])
    return [np.concatenate(arrays) for arrays in zip(*parts)], done / seconds


def as_float(images: np.ndarray) -> np.ndarray:
    """Returns images as float32 in [0, 1], as `layers.network.scaled` does. uint8 images are from 0 to 255.

    Done batch by batch: a test split of large images in colour may fill the memory four times as floats.
    """
    return images.astype(np.float32) / np.float32(255) if images.dtype == np.uint8 else images
