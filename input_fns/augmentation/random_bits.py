"""Random bits of an example in an epoch: pure functions of (seed, example, epoch), so that resuming needs no state.

TensorFlow's own stateless generators take one key for a whole tensor, and here each example has its own. This is
"Squares" (Widynski, arXiv 2004.06278, four rounds), which makes 32 bits of a counter and a key by squaring.
"""

import hashlib

import tensorflow as tf


def random_bytes(examples: tf.Tensor, epoch: tf.Tensor, seed: int, count: int) -> tf.Tensor:
    """Returns uniform random bytes, uint8 [n, count].

    Args:
        examples: The number of each example in its split, int64 [n], below 2**32.
        epoch: int64 scalar, below 2**24.
        seed: Of the run.
        count: Bytes for each example, at most 1,024.
    """
    words = _random_words(examples, epoch, seed, -(-count // 4))
    return tf.reshape(tf.bitcast(words, tf.uint8), [-1, words.shape[1] * 4])[:, :count]


def stateless_seeds(examples: tf.Tensor, epoch: tf.Tensor, seed: int) -> tf.Tensor:
    """Returns a seed for TensorFlow's stateless generators for each example, int32 [n, 2]; see `random_bytes`."""
    return tf.bitcast(_random_words(examples, epoch, seed, 2), tf.int32)


def _random_words(examples: tf.Tensor, epoch: tf.Tensor, seed: int, count: int) -> tf.Tensor:
    """Returns uniform random integers, uint32 [n, count]."""
    assert count <= 1 << 8, count
    digest = hashlib.blake2b(f"augment {seed}".encode(), digest_size=8).digest()
    key, half = tf.constant(int.from_bytes(digest, "big") | 1, tf.uint64), tf.constant(32, tf.uint64)

    def swap_halves(x: tf.Tensor) -> tf.Tensor:
        return tf.bitwise.bitwise_or(tf.bitwise.right_shift(x, half), tf.bitwise.left_shift(x, half))

    # The counter: the epoch from bit 40 up, the example from bit 8 up, and below it which word of the example.
    first = (tf.cast(epoch, tf.uint64) * (1 << 32) + tf.cast(examples, tf.uint64)) * (1 << 8)
    x = y = (first[:, tf.newaxis] + tf.constant(list(range(count)), tf.uint64)) * key
    z = y + key
    for add in (y, z, y):
        x = swap_halves(x * x + add)
    return tf.cast(tf.bitwise.right_shift(x * x + z, half), tf.uint32)
