"""The layers that networks are put together from. Each says what it needs (weights, shapes) before it computes.

Shapes leave the batch out: (28, 28, 1) for images, (784,) for vectors. All values are float32.
"""

import zlib
from dataclasses import dataclass
from typing import Callable, Dict, NamedTuple, Optional, Tuple

import tensorflow as tf

Shape = Tuple[int, ...]
Activation = Optional[Callable[[tf.Tensor], tf.Tensor]]


class Weight(NamedTuple):
    """A trainable array before it is made: drawn uniformly from [-limit, limit]; a limit of 0 gives zeros."""

    shape: Shape
    limit: float


def scaled_tanh(x: tf.Tensor) -> tf.Tensor:
    """1.7159 tanh(2x/3), so that f(1) = 1 and f(-1) = -1 (LeCun et al. 1998, appendix A)."""
    return 1.7159 * tf.tanh(x * (2.0 / 3.0))


@dataclass(frozen=True)
class Layer:
    """A layer with a name, unique in its network."""

    name: str

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        """Returns the trainable arrays for inputs of a shape."""
        return {}

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def __call__(self, x: tf.Tensor, weights: Dict[str, tf.Tensor], dropout_step: Optional[tf.Tensor]) -> tf.Tensor:
        """Computes the layer on a batch.

        Args:
            x: float32 [batch, *shape].
            weights: The values of `weights(shape)`.
            dropout_step: int64 [2], (seed, step), when training; None when not.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Dense(Layer):
    units: int
    activation: Activation = None

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        return {
            "kernel": Weight((shape[0], self.units), _glorot(shape[0], self.units)),
            "bias": Weight((self.units,), 0.0),
        }

    def output_shape(self, shape: Shape) -> Shape:
        return (self.units,)

    def __call__(self, x, weights, dropout_step):
        y = tf.nn.bias_add(tf.matmul(x, weights["kernel"]), weights["bias"])
        return self.activation(y) if self.activation else y


@dataclass(frozen=True)
class Conv2D(Layer):
    filters: int
    size: int
    activation: Activation = None
    strides: int = 1
    padding: str = "VALID"

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        area = self.size * self.size
        limit = _glorot(area * shape[-1], area * self.filters)
        return {
            "kernel": Weight((self.size, self.size, shape[-1], self.filters), limit),
            "bias": Weight((self.filters,), 0.0),
        }

    def output_shape(self, shape: Shape) -> Shape:
        margin = 0 if self.padding == "SAME" else self.size - 1
        height, width = (-(-(side - margin) // self.strides) for side in shape[:2])
        return (height, width, self.filters)

    def __call__(self, x, weights, dropout_step):
        y = tf.nn.conv2d(x, weights["kernel"], strides=self.strides, padding=self.padding)
        y = tf.nn.bias_add(y, weights["bias"])
        return self.activation(y) if self.activation else y


@dataclass(frozen=True)
class Pool2D(Layer):
    """Pooling over windows of 2x2 that do not overlap, by "max" or "average"."""

    kind: str = "max"

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0] // 2, shape[1] // 2, shape[2])

    def __call__(self, x, weights, dropout_step):
        pool = tf.nn.max_pool2d if self.kind == "max" else tf.nn.avg_pool2d
        return pool(x, ksize=2, strides=2, padding="VALID")


@dataclass(frozen=True)
class Pad2D(Layer):
    """Zeros around the image, `margin` wide."""

    margin: int

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0] + 2 * self.margin, shape[1] + 2 * self.margin, shape[2])

    def __call__(self, x, weights, dropout_step):
        sides = [self.margin, self.margin]
        return tf.pad(x, [[0, 0], sides, sides, [0, 0]])


@dataclass(frozen=True)
class Flatten(Layer):
    def output_shape(self, shape: Shape) -> Shape:
        size = 1
        for side in shape:
            size *= side
        return (size,)

    def __call__(self, x, weights, dropout_step):
        return tf.reshape(x, [-1, self.output_shape(tuple(x.shape[1:]))[0]])


@dataclass(frozen=True)
class Dropout(Layer):
    """Drops units with probability `rate` in training; what is dropped is a function of (seed, step) alone."""

    rate: float

    def __call__(self, x, weights, dropout_step):
        if dropout_step is None or not self.rate:
            return x
        # Another key for each dropout layer of a network, or all would drop alike.
        key = dropout_step + tf.constant([zlib.crc32(self.name.encode()), 0], tf.int64)
        return tf.nn.experimental.stateless_dropout(x, self.rate, seed=key, rng_alg="philox")


def _glorot(fan_in: int, fan_out: int) -> float:
    """Limit of the uniform distribution that keeps the variance through the layers (Glorot and Bengio 2010, eq. 16)."""
    return (6.0 / (fan_in + fan_out)) ** 0.5
