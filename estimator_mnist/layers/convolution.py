"""Convolutions, and the padding that some need before them. Images are [height, width, channels]."""

from dataclasses import dataclass
from typing import Dict, Optional

import tensorflow as tf

from estimator_mnist.layers.activations import ActivationFunction
from estimator_mnist.layers.base import Layer, Weight, glorot_limit
from estimator_mnist.layers.variables import Shape
from input_fns import InputError


@dataclass(frozen=True)
class Conv2D(Layer):
    """A convolution with square kernels; `padding` is "VALID" or "SAME", as in TensorFlow.

    Raises:
        InputError: `padding` is anything else.
    """

    input_rank = 3

    filters: int
    size: int
    activation: Optional[ActivationFunction] = None
    strides: int = 1
    padding: str = "VALID"
    bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_padding(self.name, self.padding)

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
class DepthwiseConv2D(Layer):
    """A convolution of each channel by itself, with one square kernel a channel, as in MobileNets (arXiv 1704.04861).

    A unit has size * size inputs, those of its own channel, and an input reaches as many units. Both fans of the
    initial weights are that number. Keras multiplies fan_in by the channels, which its units do not see.
    """

    input_rank = 3

    size: int
    activation: Optional[ActivationFunction] = None
    strides: int = 1
    padding: str = "SAME"
    bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_padding(self.name, self.padding)

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        area, channels = self.size * self.size, shape[-1]
        kernel = {"kernel": Weight((self.size, self.size, channels, 1), glorot_limit(area, area))}
        return {**kernel, "bias": Weight((channels,), 0.0)} if self.bias else kernel

    def output_shape(self, shape: Shape) -> Shape:
        return (*_convolved(shape, self.size, self.strides, self.padding), shape[-1])

    def linear(self, x, weights):
        strides = [1, self.strides, self.strides, 1]
        y = tf.nn.depthwise_conv2d(x, weights["kernel"], strides=strides, padding=self.padding)
        return tf.nn.bias_add(y, weights["bias"]) if self.bias else y

    def activate(self, x):
        return self.activation(x) if self.activation else x


@dataclass(frozen=True)
class Pad2D(Layer):
    """Zeros around the image, `margin` wide."""

    input_rank = 3

    margin: int

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0] + 2 * self.margin, shape[1] + 2 * self.margin, shape[2])

    def compute(self, x, weights):
        sides = [self.margin, self.margin]
        return tf.pad(x, [[0, 0], sides, sides, [0, 0]])


def _check_padding(name: str, padding: str) -> None:
    if padding not in ("VALID", "SAME"):
        raise InputError(f"layer {name}: padding {padding!r} is not possible; it must be 'VALID' or 'SAME'")


def _convolved(shape: Shape, size: int, strides: int, padding: str) -> Shape:
    """Returns the height and width behind a convolution."""
    margin = 0 if padding == "SAME" else size - 1
    return tuple(-(-(side - margin) // strides) for side in shape[:2])
