"""Dense layers, and the step from images to the vectors that they take."""

import math
from dataclasses import dataclass
from typing import Dict, Optional

import tensorflow as tf

from estimator_mnist.layers.activations import ActivationFunction
from estimator_mnist.layers.base import Layer, Weight, glorot_limit
from estimator_mnist.layers.variables import Shape


@dataclass(frozen=True)
class Dense(Layer):
    """A dense layer. Different cores can compute partitions of its units (`parts`) or of its inputs (`input_parts`).

    Of two such layers the first returns its units in partitions. The second takes the partitions as its inputs and
    adds up their products, so that the cores synchronise only there (Megatron-LM, arXiv 1909.08053, section 3).
    """

    input_rank = 1

    units: int
    activation: Optional[ActivationFunction] = None
    parts: int = 1
    input_parts: int = 1

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        parts, axis = (self.input_parts, 0) if self.input_parts > 1 else (self.parts, 1)
        return {
            "kernel": Weight((shape[0], self.units), glorot_limit(shape[0], self.units), parts, axis),
            "bias": Weight((self.units,), 0.0, self.parts),
        }

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def __call__(self, x, weights, mask):
        kernels, biases = weights["kernel"], weights["bias"]
        if self.input_parts > 1:
            products = [tf.matmul(part, kernel) for part, kernel in zip(x, kernels)]
            sums = [tf.nn.bias_add(tf.add_n(products), biases[0])]
        else:
            sums = [self.linear(x[0], {"kernel": kernel, "bias": bias}) for kernel, bias in zip(kernels, biases)]
        return [self.activate(part) for part in sums]

    def linear(self, x, weights):
        return tf.nn.bias_add(tf.matmul(x, weights["kernel"]), weights["bias"])

    def activate(self, x):
        return self.activation(x) if self.activation else x


@dataclass(frozen=True)
class Flatten(Layer):
    """Images, or anything else, as vectors."""

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def linear(self, x, weights):
        return tf.reshape(x, [-1, self.output_shape(tuple(x.shape[1:]))[0]])
