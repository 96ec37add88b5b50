"""Augmentation as displacement fields: where each pixel of the augmented image is read in the original.

A field is the sum of a few fixed ones (a rotation, a scaling, a bump of the rubber sheet), each times a random number
of 8 bits. Positions are integer multiples of 1 / UNITS pixel. All of them and all their sums stay below 2**24, so
float32 holds them exactly in any order of summation. The same random numbers therefore give the same image, bit for
bit, in a batch of any size.
"""

from typing import Dict, List, NamedTuple, Tuple

import numpy as np

UNITS = 1 << 15  # per pixel
LARGEST_STRENGTH = 3.0  # at which the sums of a 28x28 image still are below 2**24
# The rubber sheet of Simard, Steinkraus and Platt 2003, "Best Practices for Convolutional Neural Networks", is noise
# smoothed by a Gaussian of 4 pixels. Smoothed noise at every sixth pixel has the same variance to within 5%.
SIGMA, SPACING = 4.0, 6  # pixels


class AugmentationLimits(NamedTuple):
    """The largest amount of each transformation. Amounts are uniform between minus the limit and the limit."""

    rotation: float = 0.0  # radians. To first order: it also enlarges, by half its square
    scaling: float = 0.0  # as a fraction of the size
    squeezing: float = 0.0  # the same horizontally, and the reverse vertically
    shearing: float = 0.0  # pixels sideways per pixel down
    translation: float = 0.0  # pixels, in each direction
    elastic: float = 0.0  # pixels: the standard deviation of the sheet in each direction, not a limit
    mirrored: bool = False  # left-right, with probability 1/2


_AFFINE = AugmentationLimits(rotation=0.2, scaling=0.12, squeezing=0.12, shearing=0.2, translation=2.0)
AUGMENTS: Dict[str, AugmentationLimits] = {
    "none": AugmentationLimits(),
    "affine": _AFFINE,
    "elastic": _AFFINE._replace(elastic=1.0),  # on top of affine
    # LeCun et al. 1998, section III.B: "horizontal and vertical translations, scaling, squeezing (simultaneous
    # horizontal compression and vertical elongation, or the reverse), and horizontal shearing". It gives no amounts.
    "paper": AugmentationLimits(scaling=0.15, squeezing=0.15, shearing=0.3, translation=2.0),
    # For clothes: a mirrored digit is another sign.
    "mirror": AugmentationLimits(translation=2.0, scaling=0.1, mirrored=True),
}


class Augmentation(NamedTuple):
    """How a run augments its training images."""

    seed: int
    kind: str  # a key of AUGMENTS other than "none"
    strength: float = 1.0  # multiplies all limits; at most LARGEST_STRENGTH


class Fields(NamedTuple):
    """Where the pixels of an image are read, in UNITS of the zero-padded original: offset + random numbers @ moves."""

    offset: np.ndarray  # float32 [2, height * width], for y and x
    moves: np.ndarray  # float32 [2, numbers, height * width]; the random numbers are integers from 0 to 255
    mirrored: bool  # the last random number is 0 or 1


def build(kind: str, strength: float, height: int, width: int) -> Fields:
    """Returns the displacement fields of a kind of augmentation.

    Positions count from the first pixel of an image padded by one pixel of zeros on each side: an image is zero
    outside of itself.

    Args:
        kind: A key of AUGMENTS.
        strength: Multiplies all limits; at most LARGEST_STRENGTH.
        height: Of the images, in pixels.
        width: Of the images, in pixels.
    """
    limits = AUGMENTS[kind]
    grid = np.mgrid[:height, :width].astype(np.float64)
    y, x = (axis.ravel() - (size - 1) / 2 for axis, size in zip(grid, (height, width)))
    one, none = np.ones_like(x), np.zeros_like(x)
    parts: List[Tuple[float, np.ndarray, np.ndarray]] = [  # the limit, and the field in y and in x
        (limits.rotation, x, -y),
        (limits.scaling, y, x),
        (limits.squeezing, -y, x),
        (limits.shearing, none, y),
        (limits.translation, one, none),
        (limits.translation, none, one),
    ]
    if limits.elastic:
        bumps = _bumps(y, x, height, width)
        parts += [(limits.elastic, bump, none) for bump in bumps]
        parts += [(limits.elastic, none, bump) for bump in bumps]
    extremes = np.array([[strength * limit * in_y, strength * limit * in_x] for limit, in_y, in_x in parts])
    half_steps = np.rint(extremes / 255 * UNITS).swapaxes(0, 1)  # [2, numbers, height * width]
    # The random number 0 gives minus the limit, 255 the limit.
    offset = np.stack([y + (height + 1) / 2, x + (width + 1) / 2]) * UNITS - 255 * half_steps.sum(axis=1)
    moves = 2 * half_steps
    assert (np.abs(offset) + 255 * np.abs(moves).sum(axis=1)).max() < 2**24, "sums would not be exact in float32"
    if limits.mirrored:
        moves = np.concatenate([moves, np.stack([none, -2 * x * UNITS])[:, np.newaxis]], axis=1)
    return Fields(offset.astype(np.float32), moves.astype(np.float32), limits.mirrored)


def _bumps(y: np.ndarray, x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Returns Gaussian bumps, float64 [bumps, height * width], that cover the image.

    Their sum, each times a number uniform in [-1, 1], has a variance of 1.
    """
    in_y, in_x = (
        np.exp(-((axis - _bump_centers(size)[:, np.newaxis]) ** 2) / (2 * SIGMA**2))
        for axis, size in ((y, height), (x, width))
    )
    bumps = (in_y[:, np.newaxis] * in_x).reshape(-1, height * width)
    # The squares of bumps this dense sum to (SIGMA * sqrt(pi) / SPACING)**2. A number uniform in [-1, 1] has a
    # variance of 1/3.
    return bumps * (3.0 / np.pi) ** 0.5 * SPACING / SIGMA


def _bump_centers(size: int) -> np.ndarray:
    count = -(-size // SPACING) + 1
    return SPACING * (np.arange(count) - (count - 1) / 2)
