"""Normalisation layers. The names of their weights, and their epsilon, are those of Keras."""

from dataclasses import dataclass
from typing import Dict, Optional, Sequence, Tuple

import tensorflow as tf

from estimator_mnist.layers.activations import ActivationFunction
from estimator_mnist.layers.base import Layer, Weight
from estimator_mnist.layers.variables import Shape

EPSILON = 1e-3  # added to the variance
DECAY = 0.99  # of the moving statistics, a step
MEAN, VARIANCE = "moving_mean", "moving_variance"
Statistics = Dict[Tuple[str, str], tf.Tensor]  # by (layer, MEAN or VARIANCE)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167), with the statistics of each micro-batch.

    Channels get mean 0 and variance 1, then a trained scale and offset. Micro-batches of 32 images normalise and
    regularise at least as well as batches ("ghost" batch normalisation, Hoffer et al., arXiv 1705.08741), and the
    cores need not wait for each other in the middle of a step.
    """

    activation: Optional[ActivationFunction] = None

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        channels = shape[-1:]
        return {
            "gamma": Weight(channels, 0.0, start=1.0),
            "beta": Weight(channels, 0.0),
            MEAN: Weight(channels, 0.0, trained=False),
            VARIANCE: Weight(channels, 0.0, start=1.0, trained=False),
        }

    def compute(self, x, weights):
        y, *_ = self._normalised(x, weights, weights[MEAN], weights[VARIANCE], training=False)
        return self.activate(y)

    def train(self, x: tf.Tensor, weights: Dict[str, tf.Tensor]) -> Tuple[tf.Tensor, Statistics]:
        """Returns the output, normalised by the statistics of `x`, and these statistics."""
        none = tf.constant([], tf.float32)
        y, mean, variance = self._normalised(x, weights, none, none, training=True)
        return self.activate(y), {(self.name, MEAN): mean, (self.name, VARIANCE): variance}

    def activate(self, x):
        return self.activation(x) if self.activation else x

    def _normalised(self, x, weights, mean, variance, training):
        images = x if x.shape.rank == 4 else tf.reshape(x, [-1, 1, 1, x.shape[-1]])  # the op takes nothing but images
        y, *statistics = tf.raw_ops.FusedBatchNormV3(
            x=images,
            scale=weights["gamma"],
            offset=weights["beta"],
            mean=mean,
            variance=variance,
            epsilon=EPSILON,
            is_training=training,
        )[:3]
        return [y if x.shape.rank == 4 else tf.reshape(y, [-1, *x.shape[1:]]), *statistics]


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Layer normalisation (Ba et al., arXiv 1607.06450) over the last axis: the channels of a pixel, or a vector.

    They get mean 0 and variance 1, then a trained scale and offset. Other examples have no influence.

    Do not put it where all channels of the background are equal, for instance behind a first convolution with a ReLU.
    Variances near 0 are below the resolution of int8, and tflite_int8 lost 11 points of accuracy there. Behind a
    BatchNorm it lost 0.8. (One small network, 200 steps on the sample.)
    """

    activation: Optional[ActivationFunction] = None

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        return {"gamma": Weight(shape[-1:], 0.0, start=1.0), "beta": Weight(shape[-1:], 0.0)}

    def linear(self, x, weights):
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        return tf.nn.batch_normalization(x, mean, variance, weights["beta"], weights["gamma"], EPSILON)

    def activate(self, x):
        return self.activation(x) if self.activation else x


def mean_of(micro_batches: Sequence[Statistics]) -> Statistics:
    """Returns the mean of the statistics of some micro-batches."""
    count = len(micro_batches)
    return {key: tf.add_n([statistics[key] for statistics in micro_batches]) / count for key in micro_batches[0]}
