"""The layers of LeNet-5 as it was published, with 60,000 trainable parameters.

LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE 86
(11), 1998, section II.B and appendix A.
"""

import math
from dataclasses import dataclass
from typing import List, Sequence, Tuple

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures.lenet5_1998 import digit_codes
from estimator_mnist.layers import Conv2D, Dense, Flatten, Layer, Weight, scaled_tanh

LIMIT = 2.4  # the limit of the initial weights, times the number of a unit's inputs (appendix A)
BACKGROUND, FOREGROUND = -0.1, 1.175  # replace 0 and 1 in the input, which gets a mean of about 0 and a variance of 1
SIDE = 32  # of the input plane
# Table I: the maps of S2 that each map of C3 is connected to.
C3_SEES = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)


def layers(classes: int) -> List[Layer]:
    """Returns the layers, named as in the paper. There are codes for at most ten classes."""
    return [
        Plane("input"),
        PaperConv2D("c1", 6, 5, scaled_tanh),
        Subsampling("s2"),
        PartialConv2D("c3", C3_SEES, 5),
        Subsampling("s4"),
        PaperConv2D("c5", 120, 5, scaled_tanh),
        Flatten("flatten"),
        PaperDense("f6", digit_codes.WIDTH * digit_codes.HEIGHT, scaled_tanh),
        Rbf("output", classes),
    ]


def limit(inputs: int) -> float:
    """Returns the limit of the initial weights and biases of units with a number of inputs."""
    return LIMIT / inputs


@dataclass(frozen=True)
class Plane(Layer):
    """The image on a larger plane of background, its values scaled."""

    input_rank = 3

    def output_shape(self, shape):
        return (SIDE, SIDE, shape[-1])

    def compute(self, x, weights):
        margins = [[0, 0], *([(SIDE - side) // 2] * 2 for side in x.shape[1:3]), [0, 0]]
        return tf.pad(x * (FOREGROUND - BACKGROUND) + BACKGROUND, margins, constant_values=BACKGROUND)


@dataclass(frozen=True)
class PaperConv2D(Conv2D):
    """A convolution with the paper's initial weights."""

    def weights(self, shape):
        return _drawn_within(limit(self.size * self.size * shape[-1]), super().weights(shape))

    def linear(self, x, weights):
        if self.output_shape(x.shape[1:])[:2] != (1, 1):
            return super().linear(x, weights)
        # C5's maps are one unit each, so it is a dense layer. As one it takes a fifth of the time on small batches.
        inputs = math.prod(x.shape[1:])
        sums = tf.matmul(tf.reshape(x, [-1, inputs]), tf.reshape(weights["kernel"], [inputs, self.filters]))
        return tf.nn.bias_add(sums, weights["bias"])[:, tf.newaxis, tf.newaxis]


@dataclass(frozen=True)
class PaperDense(Dense):
    """A dense layer with the paper's initial weights."""

    def weights(self, shape):
        return _drawn_within(limit(shape[0]), super().weights(shape))


def _drawn_within(limit: float, weights):
    return {name: weight._replace(limit=limit) for name, weight in weights.items()}


@dataclass(frozen=True)
class Subsampling(Layer):
    """Maps of half the size: the sum of each 2x2 window, times a coefficient, plus a bias, squashed.

    The windows do not overlap. Each map has one coefficient and one bias.
    """

    input_rank = 3

    def weights(self, shape):
        return {name: Weight((shape[-1],), limit(4)) for name in ("coefficient", "bias")}

    def output_shape(self, shape):
        return (shape[0] // 2, shape[1] // 2, shape[2])

    def linear(self, x, weights):
        mean = tf.nn.avg_pool2d(x, ksize=2, strides=2, padding="VALID")
        return tf.nn.bias_add(mean * (4.0 * weights["coefficient"]), weights["bias"])

    def activate(self, x):
        return scaled_tanh(x)


@dataclass(frozen=True)
class PartialConv2D(Layer):
    """A convolution whose maps are connected to only some maps of its input. The others have no weights.

    The kernel holds a square for each connection of two maps, [size, size, connections], in the order of `sees`.
    """

    input_rank = 3

    sees: Tuple[Sequence[int], ...]
    size: int

    def weights(self, shape):
        limits = [limit(self.size * self.size * len(maps)) for maps in self.sees]
        of_connections = tuple(limit for limit, maps in zip(limits, self.sees) for _ in maps)
        return {
            "kernel": Weight((self.size, self.size, len(of_connections)), of_connections),
            "bias": Weight((len(self.sees),), tuple(limits)),
        }

    def output_shape(self, shape):
        return (shape[0] - self.size + 1, shape[1] - self.size + 1, len(self.sees))

    def linear(self, x, weights):
        # The dense kernel, with zeros where maps are not connected. A product with zeros and ones is faster than a
        # scatter, here and in the gradient, and as exact.
        maps = x.shape[-1]
        placed = tf.matmul(tf.reshape(weights["kernel"], [self.size**2, -1]), tf.constant(self._places(maps)))
        kernel = tf.reshape(placed, [self.size, self.size, maps, len(self.sees)])
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides=1, padding="VALID"), weights["bias"])

    def activate(self, x):
        return scaled_tanh(x)

    def _places(self, maps: int) -> np.ndarray:
        """Returns the place of each connection in the dense kernel: 0 or 1, float32 [connections, maps * len(sees)]."""
        places = [seen * len(self.sees) + map for map, sees in enumerate(self.sees) for seen in sees]
        return np.eye(maps * len(self.sees), dtype=np.float32)[places]


@dataclass(frozen=True)
class Rbf(Layer):
    """Euclidean radial basis functions: logit i is minus the squared distance of the input from code i.

    The distances are the paper's penalties y_i, unscaled. The softmax of the logits is then the posterior probability
    of its equation 9, without the class for images that are no digits.
    """

    input_rank = 1

    classes: int

    def output_shape(self, shape):
        return (self.classes,)

    def compute(self, x, weights):
        # |x - w|^2 = |x|^2 - 2 x.w + |w|^2, with w of 1 and -1
        codes = digit_codes.codes(self.classes)
        return tf.matmul(x, tf.constant(2.0 * codes.T)) - (
            tf.reduce_sum(tf.square(x), axis=1, keepdims=True) + float(codes.shape[1])
        )

    def second_derivative(self, x: tf.Tensor, posterior: tf.Tensor) -> tf.Tensor:
        """Returns the second derivative of a loss to each input of this layer, float32 [n, inputs], never negative.

        Args:
            x: The input, float32 [n, inputs].
            posterior: The probabilities of the classes in the loss, float32 [n, classes]; see `penalties.posterior`.
        """
        # The loss is y_D + log(sum of e^-y_i + rest), with y_i = |x - w_i|^2. Its second derivative to x_j is twice the
        # posterior of the rest, plus four times the variance of x_j - w_ij over the classes and the rest, where the
        # rest contributes 0.
        codes = digit_codes.codes(self.classes)
        distance = x[:, tf.newaxis, :] - codes
        weight = posterior[:, :, tf.newaxis]
        mean = tf.reduce_sum(weight * distance, axis=1)
        variance = tf.maximum(tf.reduce_sum(weight * tf.square(distance), axis=1) - tf.square(mean), 0.0)
        return 2.0 * (1.0 - tf.reduce_sum(posterior, axis=1, keepdims=True)) + 4.0 * variance
