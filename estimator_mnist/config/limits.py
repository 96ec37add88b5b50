"""The ranges of the fields of Experiment, each with the words that complete "it must be ..."."""

import math
from typing import Any, Callable, NamedTuple

from input_fns.augmentation.displacement_fields import LARGEST_STRENGTH
from input_fns.sources.request import LARGEST_SIDE, size_of

MAX_CLASSES = 100_000  # the weights of the logits alone would take more memory than a machine has


class Limits(NamedTuple):
    """The values that a field may have."""

    contain: Callable[[Any], bool]
    wanted: str


def _is_name(text: str) -> bool:
    """Tells whether a text can be written to UTF-8 files; lone surrogates cannot."""
    return bool(text) and not any("\ud800" <= char <= "\udfff" for char in text)


COUNT = Limits(lambda value: 1 <= value < 2**31, "a whole number from 1 to 2**31 - 1")
COUNT_OR_ZERO = Limits(lambda value: 0 <= value < 2**31, "a whole number from 0 to 2**31 - 1")
# Far above any machine's cores and GPUs: TensorFlow creates as many as it is asked for, however long that takes.
THREADS = REPLICAS = Limits(lambda value: 0 <= value <= 1024, "a whole number from 0 to 1,024")
SEED = Limits(lambda value: 0 <= value < 2**62, "at least 0 and below 2**62")
SHARE = Limits(lambda value: 0 <= value < 1, "at least 0 and below 1")
TEST_FRACTION = Limits(lambda value: 0 < value < 1, "above 0 and below 1")
FRACTION = Limits(lambda value: 0 < value <= 1, "above 0 and at most 1")
RATE = Limits(lambda value: 0 < value < math.inf, "a finite number above 0")
STRENGTH = Limits(lambda value: 0 < value <= LARGEST_STRENGTH, f"above 0 and at most {LARGEST_STRENGTH:g}")
CLASS_NAMES = Limits(
    lambda names: 1 <= len(set(names)) == len(names) <= MAX_CLASSES and all(map(_is_name, names)),
    f"1 to {MAX_CLASSES:,} names of at least one character each, no two alike",
)
IMAGE_SHAPE = Limits(
    lambda shape: len(shape) == 3 and all(1 <= size <= LARGEST_SIDE for size in shape[:2]) and shape[2] in (1, 3),
    f"height and width, each from 1 to {LARGEST_SIDE:,}, and 1 or 3 channels",
)
IMAGE_SIZE = Limits(
    lambda text: size_of(text) is not None,
    f"H or HxW, each from 1 to {LARGEST_SIDE:,} pixels",
)
