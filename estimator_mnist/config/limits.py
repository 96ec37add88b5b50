"""The ranges of the fields of Experiment, each with the words that complete "it must be ..."."""

import math
import re
from typing import Any, Callable, List, NamedTuple

from input_fns.augmentation.displacement_fields import LARGEST_STRENGTH

MAX_CLASSES = 100_000  # the weights of the logits alone would take more memory than a machine has
MAX_SIDE = 4096  # pixels of an image's height or width


class Limits(NamedTuple):
    """The values that a field may have."""

    contain: Callable[[Any], bool]
    wanted: str


def _is_name(text: str) -> bool:
    """Tells whether a text can be written to UTF-8 files; lone surrogates cannot."""
    return bool(text) and not any("\ud800" <= char <= "\udfff" for char in text)


def sides(text: str) -> List[int]:
    """Returns the height and width of "H" or "HxW", [0] for any other text."""
    parts = text.split("x")
    return (
        list(map(int, parts)) if len(parts) <= 2 and all(re.fullmatch(r"[0-9]{1,6}", part) for part in parts) else [0]
    )


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
    lambda shape: len(shape) == 3 and all(1 <= size <= MAX_SIDE for size in shape[:2]) and shape[2] in (1, 3),
    f"height and width, each from 1 to {MAX_SIDE:,}, and 1 or 3 channels",
)
IMAGE_SIZE = Limits(
    lambda text: all(1 <= size <= MAX_SIDE for size in sides(text)),
    f"H or HxW, each from 1 to {MAX_SIDE:,} pixels",
)
