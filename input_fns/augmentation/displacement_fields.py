"""Augmentation as displacement fields: where each pixel of the augmented image is read in the original.

A field is the sum of a few fixed ones (a rotation, a scaling, a bump of the rubber sheet), each times a random number
of 8 bits. Positions are integer multiples of 1 / units pixel, where `units` is a power of two. All of them and all
their sums stay below 2**24, so float32 holds them exactly in any order of summation. The same random numbers therefore
give the same image, bit for bit, in a batch of any size.

The larger an image, the fewer units a pixel has. Those of 28x28 pixels have MOST_UNITS.
"""

import math
from typing import Callable, Dict, List, NamedTuple, Tuple, Union

import numpy as np

from input_fns.errors import InputError

MOST_UNITS = 1 << 15  # per pixel
EXACT = 1 << 24  # integers below this are exact in float32
LARGEST_STRENGTH = 3.0  # up to here, all sums for a 28x28 image stay below EXACT
MOST_NUMBERS = 1 << 10  # random numbers of an image: `random_bits` counts no further
MOST_BYTES = 1 << 28  # of the fields, which the graph holds
SIDE = 28  # height and width of the image whose pixels AugmentationLimits are in
# The rubber sheet of Simard, Steinkraus and Platt 2003, "Best Practices for Convolutional Neural Networks", is noise
# smoothed by a Gaussian of 4 pixels. Smoothed noise at every sixth pixel has the same variance to within 5%.
SIGMA, SPACING = 4.0, 6  # pixels


class AugmentationLimits(NamedTuple):
    """The largest amount of each transformation. Amounts are uniform between minus the limit and the limit.

    Pixels are those of a 28x28 image. They grow with the shorter side of a larger one, so that it is distorted as much.
    """

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
    # A key of AUGMENTS other than "none", or a user's function of an image, uint8 [height, width, channels], and a
    # seed, int32 [2], that returns an augmented image of the same shape and dtype.
    kind: Union[str, Callable]
    strength: float = 1.0  # multiplies all limits of AUGMENTS; at most LARGEST_STRENGTH


class Fields(NamedTuple):
    """Where the pixels of an image are read in the zero-padded original: offset + random numbers @ moves."""

    offset: np.ndarray  # float32 [2, height * width], for y and x
    moves: np.ndarray  # float32 [2, numbers, height * width]; the random numbers are integers from 0 to 255
    mirrored: bool  # the last random number is 0 or 1
    units: int  # per pixel


def build(kind: str, strength: float, height: int, width: int) -> Fields:
    """Returns the displacement fields of a kind of augmentation.

    Positions count from the first pixel of an image padded by one pixel of zeros on each side: an image is zero
    outside of itself.

    Args:
        kind: A key of AUGMENTS.
        strength: Multiplies all limits; at most LARGEST_STRENGTH.
        height: Of the images, in pixels.
        width: Of the images, in pixels.

    Raises:
        InputError: The images are too large.
    """
    limits = AUGMENTS[kind]
    _check_size(kind, height, width)
    grid = np.mgrid[:height, :width].astype(np.float64)
    y, x = (axis.ravel() - (size - 1) / 2 for axis, size in zip(grid, (height, width)))
    middle = np.stack([y + (height + 1) / 2, x + (width + 1) / 2])
    mirror = np.stack([np.zeros_like(x), -2 * x if limits.mirrored else np.zeros_like(x)])[:, np.newaxis]
    # Of the largest strength, so that --augment_strength does not change how positions are rounded.
    units = _units(middle, mirror, _extremes(limits, LARGEST_STRENGTH, y, x, (height, width)))
    offset, moves = _whole_units(middle, _extremes(limits, strength, y, x, (height, width)), units)
    assert _largest_sum(offset, moves, mirror * units) < EXACT, "sums would not be exact in float32"
    if limits.mirrored:
        moves = np.concatenate([moves, mirror * units], axis=1)
    return Fields(offset.astype(np.float32), moves.astype(np.float32), limits.mirrored, units)


def _check_size(kind: str, height: int, width: int) -> None:
    """Raises InputError if the fields of images of this size would not fit in the graph."""
    scale = _scale(height, width)
    bumps = len(_bump_centers(height / scale)) * len(_bump_centers(width / scale)) if AUGMENTS[kind].elastic else 0
    numbers = 2 * bumps + 7
    if numbers > MOST_NUMBERS or 4 * 2 * numbers * height * width > MOST_BYTES:
        raise InputError(
            f"--augment {kind}: images of {height}x{width} pixels are too {'large' if scale > 1 else 'long'} for it; "
            f"use smaller ones (--image_size) or --augment {'affine' if bumps else 'none'}"
        )


def _scale(height: int, width: int) -> float:
    """Returns how many pixels are one of a 28x28 image, for amounts in pixels."""
    return max(1.0, min(height, width) / SIDE)


def _extremes(
    limits: AugmentationLimits, strength: float, y: np.ndarray, x: np.ndarray, size: Tuple[int, int]
) -> np.ndarray:
    """Returns how far each transformation moves each pixel at its limit, float64 [2, numbers, height * width]."""
    scale = _scale(*size)
    one, none = np.full_like(x, scale), np.zeros_like(x)
    parts: List[Tuple[float, np.ndarray, np.ndarray]] = [  # the limit, and the field in y and in x
        (limits.rotation, x, -y),
        (limits.scaling, y, x),
        (limits.squeezing, -y, x),
        (limits.shearing, none, y),
        (limits.translation, one, none),
        (limits.translation, none, one),
    ]
    if limits.elastic:
        bumps = scale * _bumps(y / scale, x / scale, size[0] / scale, size[1] / scale)
        parts += [(limits.elastic, bump, none) for bump in bumps]
        parts += [(limits.elastic, none, bump) for bump in bumps]
    extremes = np.array([[strength * limit * in_y, strength * limit * in_x] for limit, in_y, in_x in parts])
    return extremes.swapaxes(0, 1)


def _units(middle: np.ndarray, mirror: np.ndarray, extremes: np.ndarray) -> int:
    """Returns the most units a pixel, a power of two, with which all sums are exact in float32."""
    units = MOST_UNITS
    while _largest_sum(*_whole_units(middle, extremes, units), mirror * units) >= EXACT:
        units //= 2
    return units


def _whole_units(middle: np.ndarray, extremes: np.ndarray, units: int) -> Tuple[np.ndarray, np.ndarray]:
    """Returns offset and moves, both without the mirror; see `Fields`."""
    half_steps = np.rint(extremes / 255 * units)
    # The random number 0 gives minus the limit, 255 the limit.
    return middle * units - 255 * half_steps.sum(axis=1), 2 * half_steps


def _largest_sum(offset: np.ndarray, moves: np.ndarray, mirror: np.ndarray) -> float:
    return float((np.abs(offset) + 255 * np.abs(moves).sum(axis=1) + np.abs(mirror[:, 0])).max())


def _bumps(y: np.ndarray, x: np.ndarray, height: float, width: float) -> np.ndarray:
    """Returns Gaussian bumps, float64 [bumps, height * width], that cover the image.

    Their sum, each times a number uniform in [-1, 1], has a variance of 1.
    """
    in_y, in_x = (
        np.exp(-((axis - _bump_centers(size)[:, np.newaxis]) ** 2) / (2 * SIGMA**2))
        for axis, size in ((y, height), (x, width))
    )
    bumps = (in_y[:, np.newaxis] * in_x).reshape(-1, y.size)
    # The squares of bumps this dense sum to (SIGMA * sqrt(pi) / SPACING)**2. A number uniform in [-1, 1] has a
    # variance of 1/3.
    return bumps * (3.0 / np.pi) ** 0.5 * SPACING / SIGMA


def _bump_centers(size: float) -> np.ndarray:
    count = math.ceil(size / SPACING) + 1
    return SPACING * (np.arange(count) - (count - 1) / 2)
