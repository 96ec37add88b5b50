"""Warps images by random displacement fields of the kinds in AUGMENTS."""

from typing import Tuple

import tensorflow as tf

from input_fns.augmentation import displacement_fields, random_bits
from input_fns.augmentation.displacement_fields import Augmentation

FRACTIONS = 1 << 7  # of a pixel, to which positions are rounded down: 255 times as much is below 2**15


def warped(images: tf.Tensor, examples: tf.Tensor, epoch: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Returns warped images, uint8 [n, height, width, channels]. All channels of an image move alike.

    Args:
        images: uint8 [n, height, width, channels], of static height, width and channels.
        examples: The number of each image in its split, int64 [n]; see `random_bits`.
        epoch: int64 scalar.
        augmentation: How to augment them; its kind is a key of AUGMENTS.

    Raises:
        InputError: The images are too large.
    """
    assert isinstance(augmentation.kind, str), augmentation
    _, height, width, _ = images.shape
    offset, moves, mirrored, units = displacement_fields.build(augmentation.kind, augmentation.strength, height, width)
    numbers = tf.cast(random_bits.random_bytes(examples, epoch, augmentation.seed, moves.shape[1]), tf.float32)
    if mirrored:
        numbers = tf.concat([numbers[:, :-1], tf.floor(numbers[:, -1:] / 128.0)], axis=1)
    y, x = (tf.nn.bias_add(tf.matmul(numbers, moves[axis]), offset[axis]) for axis in range(2))
    return _interpolated(images, y, x, units)


def _interpolated(images: tf.Tensor, y: tf.Tensor, x: tf.Tensor, units: int) -> tf.Tensor:
    """Returns images read at other positions by bilinear interpolation, uint8 as they came.

    Args:
        images: uint8 [n, height, width, channels].
        y: Positions in units of the padded images, float32 [n, height * width].
        x: Likewise.
        units: Units per pixel, at least FRACTIONS.
    """
    _, height, width, channels = images.shape
    y, x = (
        tf.cast(tf.clip_by_value(axis, 0.0, (size + 1) * units - 1.0) * (FRACTIONS / units), tf.int32)
        for axis, size in ((y, height), (x, width))
    )
    shift = FRACTIONS.bit_length() - 1
    row, column = tf.bitwise.right_shift(y, shift), tf.bitwise.right_shift(x, shift)
    first = tf.range(tf.shape(images)[0])[:, tf.newaxis] * ((height + 2) * (width + 2))
    nearest = row * (width + 2) + column + first
    fractions = tf.bitwise.bitwise_and(y, FRACTIONS - 1), tf.bitwise.bitwise_and(x, FRACTIONS - 1)
    # A reshape copies nothing, and unstacking does.
    planes = [tf.reshape(images, [-1, height, width])] if channels == 1 else tf.unstack(images, axis=-1)
    planes = [_read(plane, nearest, fractions) for plane in planes]
    return tf.reshape(tf.stack(planes, axis=-1), [-1, height, width, channels])


def _read(plane: tf.Tensor, nearest: tf.Tensor, fractions: Tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Returns one channel, uint8 [n, height * width], read at other positions.

    Integer arithmetic, with two values in an int32: a position takes one gather, and its four pixels three
    interpolations.

    Args:
        plane: uint8 [n, height, width].
        nearest: The pixel of the padded images above and left of each position, int32 [n, height * width].
        fractions: How far down and right of it each position lies, int32 of the same shape, in 1 / FRACTIONS pixel.
    """
    down, right_of = fractions
    four = tf.gather(_neighbours(plane), nearest)
    left = tf.bitwise.bitwise_and(four, 0x00FF00FF)
    right = tf.bitwise.bitwise_and(tf.bitwise.right_shift(four, 8), 0x00FF00FF)
    both = left * FRACTIONS + (right - left) * right_of
    upper, lower = tf.bitwise.bitwise_and(both, 0xFFFF), tf.bitwise.right_shift(both, 16)
    value = upper * FRACTIONS + (lower - upper) * down
    rounded = tf.bitwise.right_shift(value + FRACTIONS**2 // 2, 2 * (FRACTIONS.bit_length() - 1))
    return tf.cast(rounded, tf.uint8)


def _neighbours(plane: tf.Tensor) -> tf.Tensor:
    """Returns each pixel of a padded channel with its right, lower and lower right neighbours, an int32 of 4 bytes.

    The pixel is the lowest byte. The result is flat and ends width + 3 pixels early. At the ends of rows, where
    nothing is read, the neighbours are those of the next row.
    """
    pixels = tf.cast(tf.reshape(tf.pad(plane, [[0, 0], [1, 1], [1, 1]]), [-1]), tf.int32)
    pairs = tf.bitwise.bitwise_or(pixels[:-1], tf.bitwise.left_shift(pixels[1:], 8))
    below = plane.shape[2] + 2
    return tf.bitwise.bitwise_or(pairs[:-below], tf.bitwise.left_shift(pairs[below:], 16))
