"""Distortions of training images, each a pure function of (seed, example, epoch): nothing has to be saved to go on.

An image is read at places that a displacement field has moved. A field is the sum of a few fixed ones (rotation,
scaling, a bump on the rubber sheet), each times a random number, so that the fields of a batch are one matrix product.
All values are whole numbers below 2**24, exact in float32 and in any order of adding up: an image is the same to the
bit in whatever batch it comes.
"""

import hashlib
from typing import Dict, List, NamedTuple, Tuple

import numpy as np
import tensorflow as tf

from input_fns.idx import IMAGE_SHAPE

SIDE = IMAGE_SHAPE[0]
PADDED = SIDE + 2  # with a margin of zeros, which is what an image has outside of itself
UNITS = 1 << 15  # in a pixel, of displacements
FRACTIONS = 1 << 7  # in a pixel, of the places at which an image is read: 255 * 128 fits half of an int32
# The rubber sheet: Simard, Steinkraus and Platt 2003, "Best Practices for Convolutional Neural Networks", smooth noise
# with a Gaussian of 4 pixels. Noise at every sixth pixel, so smoothed, gives the same field to 3% of its variance.
SIGMA, SPACING = 4.0, 6
PIECE = 256  # images distorted at a time: so many that ops cost little and values stay in a core's cache


class Strengths(NamedTuple):
    """How far each distortion goes at most; the numbers that draw it are uniform from minus to plus that."""

    rotation: float = 0.0  # radians; its first order, which also enlarges by half its square
    scaling: float = 0.0  # share of the size
    squeezing: float = 0.0  # the same, horizontally, while vertically it is the reverse
    shearing: float = 0.0  # pixels to the side for a pixel down
    translation: float = 0.0  # pixels, in both directions
    elastic: float = 0.0  # pixels: not the most, but the standard deviation of the displacement in either direction
    mirrored: bool = False  # left for right, every second time


_AFFINE = Strengths(rotation=0.2, scaling=0.12, squeezing=0.12, shearing=0.2, translation=2.0)
AUGMENTS: Dict[str, Strengths] = {
    "none": Strengths(),
    "affine": _AFFINE,
    "elastic": _AFFINE._replace(elastic=1.0),  # both
    # LeCun et al. 1998, section III.D: "horizontal and vertical translations, scaling, squeezing (simultaneous
    # horizontal compression and vertical elongation, or the reverse), and horizontal shearing"; it gives no amounts.
    "paper": Strengths(scaling=0.15, squeezing=0.15, shearing=0.3, translation=2.0),
    "mirror": Strengths(scaling=0.1, translation=2.0, mirrored=True),  # for clothes
}


def distorted(images: tf.Tensor, examples: tf.Tensor, epoch: tf.Tensor, seed: int, augment: str) -> tf.Tensor:
    """Returns images, distorted.

    Args:
        images: uint8 [n, 28, 28, 1].
        examples: The place of each in its split, int64 [n].
        epoch: int64 scalar.
        seed: Of the run.
        augment: A key of AUGMENTS other than "none".
    """
    fields, still = _fields(AUGMENTS[augment])
    numbers = _numbers(examples, epoch, seed, -(-fields.shape[1] // 4) * 4)
    ...
