"""Convolutions, and the padding that some need before them. Images are [height, width, channels]."""

from dataclasses import dataclass
from typing import Dict, Optional

import tensorflow as tf

from estimator_mnist.layers.activations import ActivationFunction
from estimator_mnist.layers.base import Layer, Weight, glorot_limit
from estimator_mnist.layers.variables import Shape


@dataclass(frozen=True)
class Conv2D(Layer):
    """A convolution with square kernels; `padding` is "VALID" or "SAME", as in TensorFlow."""

    filters: int
    size: int
    activation: Optional[ActivationFunction] = None
    strides: int = 1
    padding: str = "VALID"
    bias: bool = True

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        area = self.size * self.size
        limit = glorot_limit(area * shape[-1], area * self.filters)
        kernel = {"kernel": Weight((self.size, self.size, shape[-1], self.filters), limit)}
        return {**kernel, "bias": Weight((self.filters,), 0.0)} if self.bias else kernel

    def output_shape(self, shape: Shape) -> Shape:
        return (*_convolved(shape, self.size, self.strides, self.padding), self.filters)

    def linear(self, x, weights):
        y = tf.nn.conv2d(x, weights["kernel"], strides=self.strides, padding=self.padding)
        return tf.nn.bias_add(y, weights["bias"]) if self.bias else y

    def activate(self, x):
        return self.activation(x) if self.activation else x


@dataclass(frozen=True)
class Pad2D(Layer):
    """Zeros around the image, `margin` wide."""

    margin: int

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0] + 2 * self.margin, shape[1] + 2 * self.margin, shape[2])

    def compute(self, x, weights):
        sides = [self.margin, self.margin]
        return tf.pad(x, [[0, 0], sides, sides, [0, 0]])


def _convolved(shape: Shape, size: int, strides: int, padding: str) -> Shape:
    """Returns the height and width behind a convolution."""
    margin = 0 if padding == "SAME" else size - 1
    return tuple(-(-(side - margin) // strides) for side in shape[:2])
