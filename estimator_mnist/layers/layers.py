"""The layers that networks are put together from. Each says what it needs (weights, shapes) before it computes.

Shapes leave the batch out: (28, 28, 1) for images, (784,) for vectors. All values are float32.
"""

import math
import zlib
from dataclasses import dataclass
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple, Union

import tensorflow as tf

from estimator_mnist.layers.variables import Shape

Parts = List[tf.Tensor]  # of an array, side by side along its last axis; mostly one: the whole
Activation = Optional[Callable[[tf.Tensor], tf.Tensor]]


class DropoutMasks(NamedTuple):
    """The masks of a dropout layer for the steps of a block; see `Dropout.masks`."""

    bits: tf.Tensor
    of_step: Callable[[tf.Tensor], tf.Tensor]


class Weight(NamedTuple):
    """An array before it is made: drawn uniformly from [-limit, limit], or, with a limit of 0, all `start`."""

    shape: Shape
    limit: Union[float, Tuple[float, ...]]  # or one for each index of the last axis
    parts: int = 1
    axis: int = 0  # along which the parts divide it
    start: float = 0.0
    trained: bool = True  # by gradients; else by moving averages


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

    def __call__(self, x: Parts, weights: Dict[str, Parts], mask: Optional[tf.Tensor]) -> Parts:
        """Computes the layer on a batch.

        Args:
            x: float32 [batch, *shape], in parts.
            weights: The values of `weights(shape)`, each in its parts.
            mask: What a Dropout multiplies with in training; None elsewhere.
        """
        (whole,) = x
        return [self.compute(whole, {name: value for name, (value,) in weights.items()})]

    def compute(self, x: tf.Tensor, weights: Dict[str, tf.Tensor]) -> tf.Tensor:
        """Computes a layer that knows no parts; for the others, `__call__` does it all."""
        return self.activate(self.linear(x, weights))

    def linear(self, x: tf.Tensor, weights: Dict[str, tf.Tensor]) -> tf.Tensor:
        """Computes the weighted sums of the units: each a sum of inputs, or of ones, times weights."""
        raise NotImplementedError

    def activate(self, x: tf.Tensor) -> tf.Tensor:
        """Computes the units' states from their weighted sums."""
        return x


@dataclass(frozen=True)
class Dense(Layer):
    """A dense layer, its units in `parts` that different cores compute, or its inputs in `input_parts`.

    The first of two such layers gives its units in parts, the second takes them as its inputs and adds up what each
    part gives, so that the cores meet only there (Megatron-LM, arXiv 1909.08053, section 3).
    """

    units: int
    activation: Activation = None
    parts: int = 1
    input_parts: int = 1

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        parts, axis = (self.input_parts, 0) if self.input_parts > 1 else (self.parts, 1)
        return {
            "kernel": Weight((shape[0], self.units), _glorot(shape[0], self.units), parts, axis),
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
class Conv2D(Layer):
    filters: int
    size: int
    activation: Activation = None
    strides: int = 1
    padding: str = "VALID"
    bias: bool = True

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        area = self.size * self.size
        limit = _glorot(area * shape[-1], area * self.filters)
        kernel = {"kernel": Weight((self.size, self.size, shape[-1], self.filters), limit)}
        return {**kernel, "bias": Weight((self.filters,), 0.0)} if self.bias else kernel

    def output_shape(self, shape: Shape) -> Shape:
        margin = 0 if self.padding == "SAME" else self.size - 1
        height, width = (-(-(side - margin) // self.strides) for side in shape[:2])
        return (height, width, self.filters)

    def linear(self, x, weights):
        y = tf.nn.conv2d(x, weights["kernel"], strides=self.strides, padding=self.padding)
        return tf.nn.bias_add(y, weights["bias"]) if self.bias else y

    def activate(self, x):
        return self.activation(x) if self.activation else x


@dataclass(frozen=True)
class Pool2D(Layer):
    """Pooling over windows of 2x2 that do not overlap, by "max" or "average"."""

    kind: str = "max"

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0] // 2, shape[1] // 2, shape[2])

    def compute(self, x, weights):
        pool = tf.nn.max_pool2d if self.kind == "max" else tf.nn.avg_pool2d
        return pool(x, ksize=2, strides=2, padding="VALID")


@dataclass(frozen=True)
class Pad2D(Layer):
    """Zeros around the image, `margin` wide."""

    margin: int

    def output_shape(self, shape: Shape) -> Shape:
        return (shape[0] + 2 * self.margin, shape[1] + 2 * self.margin, shape[2])

    def compute(self, x, weights):
        sides = [self.margin, self.margin]
        return tf.pad(x, [[0, 0], sides, sides, [0, 0]])


@dataclass(frozen=True)
class Flatten(Layer):
    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def linear(self, x, weights):
        return tf.reshape(x, [-1, self.output_shape(tuple(x.shape[1:]))[0]])


@dataclass(frozen=True)
class Dropout(Layer):
    """Drops units with probability `rate` in training, and scales the others up; elsewhere it does nothing."""

    rate: float

    def masks(self, shape: Shape, seed: int, first_step: tf.Tensor, steps: tf.Tensor, batch_size: int) -> DropoutMasks:
        """Returns the random bits of successive steps, a function of (seed, step) alone, and what makes masks of them.

        Args:
            shape: Of the layer's input, without the batch.
            seed: Of the run.
            first_step: int64 scalar.
            steps: int32 scalar.
            batch_size: Rows of a step.

        Returns:
            uint16 [steps, at least the units of a batch], and a function that turns a row of it into what the units
            are multiplied with, float32 [batch_size, *shape], 0 or 1 / (1 - rate).
        """
        # Philox is a counter through a cipher, four words of 32 bits at a count (Salmon et al. 2011): a step that
        # begins at its own count gets the same bits whatever steps are drawn with it. A unit takes 16 bits: the rate
        # is met to 1 / 65536, at half the cost of a float32.
        units = batch_size * math.prod(shape)
        counts = -(-units // 8)
        start = tf.cast(first_step, tf.uint64) * tf.constant(counts, tf.uint64)
        words = tf.raw_ops.StatelessRandomUniformFullIntV2(
            shape=tf.stack([steps * counts * 4]),
            # Another key for each dropout layer of a network, or all would drop alike.
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


def _glorot(fan_in: int, fan_out: int) -> float:
    """Limit of the uniform distribution that keeps the variance through the layers (Glorot and Bengio 2010, eq. 16)."""
    return (6.0 / (fan_in + fan_out)) ** 0.5
