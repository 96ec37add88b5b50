"""Distorts training images, each as a pure function of (seed, example, epoch): nothing has to be saved to go on."""

import hashlib
from typing import Dict, NamedTuple, Sequence

import tensorflow as tf

from input_fns.augmentation import displacement_fields
from input_fns.augmentation.displacement_fields import PADDED, SIDE, UNITS

PIECE = 256  # images at a time: so many that an op costs little, and so few that its values stay in a core's cache
FRACTIONS = 1 << 7  # of a pixel, to which places are rounded down: 255 times as much is below 2**15


class Augment(NamedTuple):
    """What is done to the images of a run."""

    seed: int
    kind: str  # a key of fields.AUGMENTS other than "none"
    strength: float = 1.0  # see `fields.of`


def distort_pieces(pieces: tf.data.Dataset, sizes: Sequence[int], augment: Augment) -> tf.data.Dataset:
    """Returns distorted blocks, ({"image": uint8 [size, 28, 28, 1]}, labels).

    Args:
        pieces: Their pieces, ({"image": uint8 [n, 28, 28, 1]}, labels [n], example numbers int64 [n], epoch int64).
        sizes: Examples in each block.
        augment: What to do to them.
    """

    def distort(features: Dict[str, tf.Tensor], labels: tf.Tensor, examples: tf.Tensor, epoch: tf.Tensor):
        return {"image": distorted(features["image"], examples, epoch, augment)}, labels

    as_written = tf.autograph.experimental.do_not_convert(distort)
    return pieces.map(as_written, num_parallel_calls=2, deterministic=True).rebatch(list(sizes))


def distorted(images: tf.Tensor, examples: tf.Tensor, epoch: tf.Tensor, augment: Augment) -> tf.Tensor:
    """Returns distorted images.

    Args:
        images: uint8 [n, 28, 28, 1].
        examples: The number of each in its split, int64 [n], below 2**32.
        epoch: int64 scalar, below 2**24.
        augment: What to do to them.
    """
    still, moves, mirrored = displacement_fields.of(augment.kind, augment.strength)
    numbers = _random_bytes(examples, epoch, augment.seed, moves.shape[1])
    if mirrored:
        numbers = tf.concat([numbers[:, :-1], tf.floor(numbers[:, -1:] / 128.0)], axis=1)
    places = [tf.nn.bias_add(tf.matmul(numbers, moves[axis]), still[axis]) for axis in range(2)]
    return _read(images, *places)


def _random_bytes(examples: tf.Tensor, epoch: tf.Tensor, seed: int, count: int) -> tf.Tensor:
    """Returns numbers from 0 to 255, all equally likely, float32 [n, count].

    TensorFlow's own stateless numbers have one key for a whole tensor. These are those of "Squares" (Widynski,
    arXiv 2004.06278, four rounds), which makes 32 bits of a counter and a key by squaring.
    """
    digest = hashlib.blake2b(f"augment {seed}".encode(), digest_size=8).digest()
    key, half = tf.constant(int.from_bytes(digest, "big") | 1, tf.uint64), tf.constant(32, tf.uint64)

    def swapped(x: tf.Tensor) -> tf.Tensor:
        return tf.bitwise.bitwise_or(tf.bitwise.right_shift(x, half), tf.bitwise.left_shift(x, half))

    # Bits 40 and up the epoch, 8 and up the example, below those the word of its numbers.
    first = (tf.cast(epoch, tf.uint64) * (1 << 32) + tf.cast(examples, tf.uint64)) * (1 << 8)
    x = y = (first[:, tf.newaxis] + tf.constant(list(range(-(-count // 4))), tf.uint64)) * key
    z = y + key
    for add in (y, z, y):
        x = swapped(x * x + add)
    words = tf.cast(tf.bitwise.right_shift(x * x + z, half), tf.uint32)
    return tf.cast(tf.reshape(tf.bitcast(words, tf.uint8), [-1, words.shape[1] * 4])[:, :count], tf.float32)


def _read(images: tf.Tensor, y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns uint8 [n, 28, 28, 1]: images read at places, float32 [n, 784] in UNITS of the padded image, bilinearly.

    In whole numbers, two in an int32: a place takes one gather, and its four pixels three interpolations.
    """
    y, x = (
        tf.cast(tf.clip_by_value(axis, 0.0, (PADDED - 1) * UNITS - 1.0) * (FRACTIONS / UNITS), tf.int32)
        for axis in (y, x)
    )
    shift, within = FRACTIONS.bit_length() - 1, FRACTIONS - 1
    count = tf.shape(images)[0]
    row, column = tf.bitwise.right_shift(y, shift), tf.bitwise.right_shift(x, shift)
    first = tf.range(count)[:, tf.newaxis] * PADDED**2
    four = tf.gather(_neighbours(images), row * PADDED + column + first)
    left = tf.bitwise.bitwise_and(four, 0x00FF00FF)
    right = tf.bitwise.bitwise_and(tf.bitwise.right_shift(four, 8), 0x00FF00FF)
    both = left * FRACTIONS + (right - left) * tf.bitwise.bitwise_and(x, within)
    upper, lower = tf.bitwise.bitwise_and(both, 0xFFFF), tf.bitwise.right_shift(both, 16)
    value = upper * FRACTIONS + (lower - upper) * tf.bitwise.bitwise_and(y, within)
    rounded = tf.bitwise.right_shift(value + FRACTIONS**2 // 2, 2 * shift)
    return tf.reshape(tf.cast(rounded, tf.uint8), [count, SIDE, SIDE, 1])


def _neighbours(images: tf.Tensor) -> tf.Tensor:
    """Returns int32 [n * 900 - 31]: of each pixel of the padded images itself and those right, below, and right below,
    each in a byte, the first in the lowest. At the ends of rows, where nothing is read, they are others."""
    padded = tf.pad(tf.reshape(images, [-1, SIDE, SIDE]), [[0, 0], [1, 1], [1, 1]])
    pixels = tf.cast(tf.reshape(padded, [-1]), tf.int32)
    pairs = tf.bitwise.bitwise_or(pixels[:-1], tf.bitwise.left_shift(pixels[1:], 8))
    return tf.bitwise.bitwise_or(pairs[:-PADDED], tf.bitwise.left_shift(pairs[PADDED:], 16))
