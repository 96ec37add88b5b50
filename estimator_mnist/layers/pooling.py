"""Pooling over windows of images [height, width, channels]."""

from dataclasses import dataclass

import tensorflow as tf

from estimator_mnist.layers.base import Layer
from estimator_mnist.layers.variables import Shape
from input_fns import InputError


@dataclass(frozen=True)
class Pool2D(Layer):
    """Pooling over 2x2 windows that do not overlap, by "max" or "average".

    Raises:
        InputError: `kind` is anything else.
    """

    input_rank = 3

    kind: str = "max"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in ("max", "average"):
            raise InputError(f"layer {self.name}: pooling by {self.kind!r} is not possible; it is 'max' or 'average'")

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0] // 2, shape[1] // 2, shape[2])

    def compute(self, x, weights):
        pool = tf.nn.max_pool2d if self.kind == "max" else tf.nn.avg_pool2d
        return pool(x, ksize=2, strides=2, padding="VALID")


@dataclass(frozen=True)
class GlobalAveragePool(Layer):
    """The mean of each channel over the image: a vector of the channels (Lin et al., arXiv 1312.4400, section 3.2)."""

    input_rank = 3

    def output_shape(self, shape: Shape) -> Shape:
        return shape[-1:]

    def compute(self, x, weights):
        return tf.reduce_mean(x, axis=[1, 2])
