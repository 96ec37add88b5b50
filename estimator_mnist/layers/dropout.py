"""Dropout, whose masks are a function of (seed, step) alone."""

import math
import zlib
from dataclasses import dataclass
from typing import Callable, NamedTuple

import tensorflow as tf

from estimator_mnist.layers.base import Layer
from estimator_mnist.layers.variables import Shape


class DropoutMasks(NamedTuple):
    """The masks of a dropout layer for the steps of a block."""

    bits: tf.Tensor  # uint16 [steps, n], random; n is at least the number of units of a batch
    # Turns a row of `bits` into the factors of the units, float32 [batch_size, *shape], 0 or 1 / (1 - rate).
    of_step: Callable[[tf.Tensor], tf.Tensor]


@dataclass(frozen=True)
class Dropout(Layer):
    """Drops units with probability `rate` in training and scales the others up. The identity elsewhere."""

    rate: float

    def masks(self, shape: Shape, seed: int, first_step: tf.Tensor, steps: tf.Tensor, batch_size: int) -> DropoutMasks:
        """Returns the masks of successive steps.

        Args:
            shape: Of the layer's input.
            seed: Of the run.
            first_step: int64 scalar.
            steps: int32 scalar.
            batch_size: Examples of a step.
        """
        # Philox is a counter through a cipher, four words of 32 bits a count (Salmon et al. 2011). Each step has its
        # range of counts, and so gets the same bits whatever steps are drawn with it. A unit takes 16 bits, which
        # meet the rate to 1 / 65536 at half the cost of a float32.
        units = batch_size * math.prod(shape)
        counts = -(-units // 8)
        start = tf.cast(first_step, tf.uint64) * tf.constant(counts, tf.uint64)
        words = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=tf.stack([steps * counts * 4]),
            # Each dropout layer of a network has another key. Otherwise they would all drop the same units.
            key=tf.constant([(seed << 32 | zlib.crc32(self.name.encode())) % 2**64], tf.uint64),
            counter=tf.stack([start, tf.constant(0, tf.uint64)]),
            alg=1,
            dtype=tf.uint32,
        )
        threshold = min(round(self.rate * 2**16), 2**16 - 1)

        def of_step(bits: tf.Tensor) -> tf.Tensor:
            kept = tf.reshape(bits[:units], [batch_size, *shape]) >= tf.constant(threshold, tf.uint16)
            return tf.cast(kept, tf.float32) * (2**16 / (2**16 - threshold))

        return DropoutMasks(tf.reshape(tf.bitcast(words, tf.uint16), [steps, counts * 8]), of_step)

    def __call__(self, x, weights, mask):
        if mask is None:
            return x
        return [part * mask_part for part, mask_part in zip(x, tf.split(mask, len(x), axis=-1))]
