"""Augments training images, each as a pure function of (seed, example, epoch): resuming needs no saved state."""

import hashlib
from typing import Dict, Sequence

import tensorflow as tf

from input_fns.augmentation import displacement_fields
from input_fns.augmentation.displacement_fields import UNITS, Augmentation

PIECE = 256  # images at a time: enough to amortise the ops' overhead, few enough to stay in a core's cache
FRACTIONS = 1 << 7  # of a pixel, to which positions are rounded down: 255 times as much is below 2**15


def augment_pieces(pieces: tf.data.Dataset, block_sizes: Sequence[int], augmentation: Augmentation) -> tf.data.Dataset:
    """Returns augmented blocks, ({"image": uint8 [size, height, width, 1]}, labels).

    Args:
        pieces: Pieces of the blocks: ({"image": uint8 [n, height, width, 1]}, labels [n], example numbers int64 [n],
            epoch int64).
        block_sizes: Examples in each block.
        augmentation: How to augment them.
    """

    def augment(features: Dict[str, tf.Tensor], labels: tf.Tensor, examples: tf.Tensor, epoch: tf.Tensor):
        return {"image": augmented(features["image"], examples, epoch, augmentation)}, labels

    without_autograph = tf.autograph.experimental.do_not_convert(augment)
    return pieces.map(without_autograph, num_parallel_calls=2, deterministic=True).rebatch(list(block_sizes))


def augmented(images: tf.Tensor, examples: tf.Tensor, epoch: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Returns augmented images, uint8 [n, height, width, 1].

    Args:
        images: uint8 [n, height, width, 1], with a static height and width.
        examples: The number of each image in its split, int64 [n], below 2**32.
        epoch: int64 scalar, below 2**24.
        augmentation: How to augment them.
    """
    _, height, width, _ = images.shape
    offset, moves, mirrored = displacement_fields.build(augmentation.kind, augmentation.strength, height, width)
    numbers = _random_bytes(examples, epoch, augmentation.seed, moves.shape[1])
    if mirrored:
        numbers = tf.concat([numbers[:, :-1], tf.floor(numbers[:, -1:] / 128.0)], axis=1)
    y, x = (tf.nn.bias_add(tf.matmul(numbers, moves[axis]), offset[axis]) for axis in range(2))
    return _interpolated(images, y, x)


def _random_bytes(examples: tf.Tensor, epoch: tf.Tensor, seed: int, count: int) -> tf.Tensor:
    """Returns uniform integers from 0 to 255, float32 [n, count].

    TensorFlow's own stateless generators take one key for a whole tensor, and here each example has its own. This is
    "Squares" (Widynski, arXiv 2004.06278, four rounds), which makes 32 bits of a counter and a key by squaring.
    """
    digest = hashlib.blake2b(f"augment {seed}".encode(), digest_size=8).digest()
    key, half = tf.constant(int.from_bytes(digest, "big") | 1, tf.uint64), tf.constant(32, tf.uint64)

    def swap_halves(x: tf.Tensor) -> tf.Tensor:
        return tf.bitwise.bitwise_or(tf.bitwise.right_shift(x, half), tf.bitwise.left_shift(x, half))

    # The counter: the epoch from bit 40 up, the example from bit 8 up, and below it which four bytes of the example.
    first = (tf.cast(epoch, tf.uint64) * (1 << 32) + tf.cast(examples, tf.uint64)) * (1 << 8)
    x = y = (first[:, tf.newaxis] + tf.constant(list(range(-(-count // 4))), tf.uint64)) * key
    z = y + key
    for add in (y, z, y):
        x = swap_halves(x * x + add)
    words = tf.cast(tf.bitwise.right_shift(x * x + z, half), tf.uint32)
    return tf.cast(tf.reshape(tf.bitcast(words, tf.uint8), [-1, words.shape[1] * 4])[:, :count], tf.float32)


def _interpolated(images: tf.Tensor, y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns images read at other positions by bilinear interpolation, uint8 as they came.

    Integer arithmetic, with two values in an int32: a position takes one gather, and its four pixels three
    interpolations.

    Args:
        images: uint8 [n, height, width, 1].
        y: Positions in UNITS of the padded images, float32 [n, height * width].
        x: Likewise.
    """
    _, height, width, _ = images.shape
    padded_height, padded_width = height + 2, width + 2
    y, x = (
        tf.cast(tf.clip_by_value(axis, 0.0, (size - 1) * UNITS - 1.0) * (FRACTIONS / UNITS), tf.int32)
        for axis, size in ((y, padded_height), (x, padded_width))
    )
    shift, within = FRACTIONS.bit_length() - 1, FRACTIONS - 1
    count = tf.shape(images)[0]
    row, column = tf.bitwise.right_shift(y, shift), tf.bitwise.right_shift(x, shift)
    first = tf.range(count)[:, tf.newaxis] * (padded_height * padded_width)
    four = tf.gather(_neighbours(images), row * padded_width + column + first)
    left = tf.bitwise.bitwise_and(four, 0x00FF00FF)
    right = tf.bitwise.bitwise_and(tf.bitwise.right_shift(four, 8), 0x00FF00FF)
    both = left * FRACTIONS + (right - left) * tf.bitwise.bitwise_and(x, within)
    upper, lower = tf.bitwise.bitwise_and(both, 0xFFFF), tf.bitwise.right_shift(both, 16)
    value = upper * FRACTIONS + (lower - upper) * tf.bitwise.bitwise_and(y, within)
    rounded = tf.bitwise.right_shift(value + FRACTIONS**2 // 2, 2 * shift)
    return tf.reshape(tf.cast(rounded, tf.uint8), [count, height, width, 1])


def _neighbours(images: tf.Tensor) -> tf.Tensor:
    """Returns each pixel of the padded images with its right, lower and lower right neighbours, an int32 of 4 bytes.

    The pixel is the lowest byte. The result is flat and ends width + 3 pixels early. At the ends of rows, where
    nothing is read, the neighbours are those of the next row.
    """
    _, height, width, channels = images.shape
    assert channels == 1, "the four neighbours fill an int32"
    padded = tf.pad(tf.reshape(images, [-1, height, width]), [[0, 0], [1, 1], [1, 1]])
    pixels = tf.cast(tf.reshape(padded, [-1]), tf.int32)
    pairs = tf.bitwise.bitwise_or(pixels[:-1], tf.bitwise.left_shift(pixels[1:], 8))
    below = width + 2
    return tf.bitwise.bitwise_or(pairs[:-below], tf.bitwise.left_shift(pairs[below:], 16))
