"""The distortions of `--augment`, as displacement fields: where each pixel of the new image is read in the old one.

A field is the sum of a few fixed ones (a rotation, a scaling, a bump of the rubber sheet), each times a random number
of 8 bits. Places are whole numbers of UNITS, all of them and their sums below 2**24, and so exact in float32 in
whatever order they are added up: the same numbers give the same image, to the bit, in a batch of any size.
"""

from typing import Dict, List, NamedTuple, Tuple

import numpy as np

SIDE = 28
PADDED = SIDE + 2  # with a margin of zeros, which is what an image has outside of itself
UNITS = 1 << 15  # in a pixel
LARGEST_STRENGTH = 3.0  # at which the sums still are below 2**24
# The rubber sheet of Simard, Steinkraus and Platt 2003, "Best Practices for Convolutional Neural Networks", is noise
# smoothed by a Gaussian of 4 pixels. Noise at every sixth pixel, smoothed so, is the same to 5% of its variance.
SIGMA, SPACING, BUMPS = 4.0, 6, 6  # pixels, pixels, along each side


class Distortion(NamedTuple):
    """How far each part goes at most, to either side; all up to there are equally likely."""

    rotation: float = 0.0  # radians. To first order: it also enlarges, by half its square
    scaling: float = 0.0  # share of the size
    squeezing: float = 0.0  # the same horizontally, and the reverse vertically
    shearing: float = 0.0  # pixels to the side for a pixel down
    translation: float = 0.0  # pixels, in each direction
    elastic: float = 0.0  # pixels, but not at most: the standard deviation of the sheet in each direction
    mirrored: bool = False  # left for right, every second time


_AFFINE = Distortion(rotation=0.2, scaling=0.12, squeezing=0.12, shearing=0.2, translation=2.0)
AUGMENTS: Dict[str, Distortion] = {
    "none": Distortion(),
    "affine": _AFFINE,
    "elastic": _AFFINE._replace(elastic=1.0),  # and affine
    # LeCun et al. 1998, section III.B: "horizontal and vertical translations, scaling, squeezing (simultaneous
    # horizontal compression and vertical elongation, or the reverse), and horizontal shearing". It gives no amounts.
    "paper": Distortion(scaling=0.15, squeezing=0.15, shearing=0.3, translation=2.0),
    "mirror": Distortion(translation=2.0, scaling=0.1, mirrored=True),  # for clothes: digits are not what they mirror
}


class Fields(NamedTuple):
    """The places where the pixels of an image are read, in UNITS of the padded one: still + numbers @ moves."""

    still: np.ndarray  # float32 [2, 784], for y and x
    moves: np.ndarray  # float32 [2, numbers, 784]; numbers from 0 to 255
    mirrored: bool  # the last number is 0 or 1


def of(augment: str, strength: float) -> Fields:
    """Returns the fields of a distortion.

    Args:
        augment: A key of AUGMENTS.
        strength: What all of its limits are multiplied with, at most LARGEST_STRENGTH.
    """
    distortion = AUGMENTS[augment]
    y, x = (axis.ravel() - (SIDE - 1) / 2 for axis in np.mgrid[:SIDE, :SIDE].astype(np.float64))
    one, none = np.ones_like(x), np.zeros_like(x)
    parts: List[Tuple[float, np.ndarray, np.ndarray]] = [  # the limit, and the field in y and in x
        (distortion.rotation, x, -y),
        (distortion.scaling, y, x),
        (distortion.squeezing, -y, x),
        (distortion.shearing, none, y),
        (distortion.translation, one, none),
        (distortion.translation, none, one),
    ]
    if distortion.elastic:
        bumps = _bumps(y, x)
        parts += [(distortion.elastic, bump, none) for bump in bumps] + [
            (distortion.elastic, none, bump) for bump in bumps
        ]
    limits = np.array([[strength * limit * in_y, strength * limit * in_x] for limit, in_y, in_x in parts])
    half_steps = np.rint(limits / 255 * UNITS).swapaxes(0, 1)  # [2, numbers, 784]
    # From minus the limit at 0 to the limit at 255.
    still = (np.stack([y, x]) + (PADDED - 1) / 2) * UNITS - 255 * half_steps.sum(axis=1)
    moves = 2 * half_steps
    if distortion.mirrored:
        moves = np.concatenate([moves, np.stack([none, -2 * x * UNITS])[:, np.newaxis]], axis=1)
    return Fields(still.astype(np.float32), moves.astype(np.float32), distortion.mirrored)


def _bumps(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Returns float64 [BUMPS**2, 784]: their sum, each times a number uniform in [-1, 1], has a variance of 1."""
    middles = SPACING * (np.arange(BUMPS) - (BUMPS - 1) / 2)
    in_y, in_x = (np.exp(-((axis - middles[:, np.newaxis]) ** 2) / (2 * SIGMA**2)) for axis in (y, x))
    bumps = (in_y[:, np.newaxis] * in_x).reshape(BUMPS**2, -1)
    # The squares of bumps this dense add up to (SIGMA * sqrt(pi) / SPACING)**2; such a number has a variance of 1/3.
    return bumps * (3.0 / np.pi) ** 0.5 * SPACING / SIGMA
