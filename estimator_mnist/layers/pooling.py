"""Pooling over windows of images [height, width, channels]."""

from dataclasses import dataclass

import tensorflow as tf

from estimator_mnist.layers.base import Layer
from estimator_mnist.layers.variables import Shape


@dataclass(frozen=True)
class Pool2D(Layer):
    """Pooling over 2x2 windows that do not overlap, by "max" or "average"."""

    kind: str = "max"

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0] // 2, shape[1] // 2, shape[2])

    def compute(self, x, weights):
        pool = tf.nn.max_pool2d if self.kind == "max" else tf.nn.avg_pool2d
        return pool(x, ksize=2, strides=2, padding="VALID")
