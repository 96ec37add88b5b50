"""Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167), by the statistics of each shard of a batch on its own.

Shards of 32 images normalise and regularise at least as well as whole batches ("ghost" batch normalisation, Hoffer et
al., arXiv 1705.08741), and the cores need not wait for each other in the middle of a step.
"""

from dataclasses import dataclass
from typing import Dict, Sequence, Tuple

import tensorflow as tf

from estimator_mnist.layers.layers import Activation, Layer, Weight
from estimator_mnist.layers.variables import Shape

EPSILON = 1e-3  # added to the variance; as in Keras
DECAY = 0.99  # of the moving statistics, a step
MEAN, VARIANCE = "moving_mean", "moving_variance"
Statistics = Dict[Tuple[str, str], tf.Tensor]  # by (layer, MEAN or VARIANCE)


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Channels of mean 0 and variance 1, then scaled and moved by trained amounts. The names of its weights are
    Keras's."""

    activation: Activation = None

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
        return self.activation(y) if self.activation else y

    def train(self, x: tf.Tensor, weights: Dict[str, tf.Tensor]) -> Tuple[tf.Tensor, Statistics]:
        """Returns the output by the batch's own statistics, and those."""
        none = tf.constant([], tf.float32)
        y, mean, variance = self._normalised(x, weights, none, none, training=True)
        return self.activation(y) if self.activation else y, {(self.name, MEAN): mean, (self.name, VARIANCE): variance}

    def _normalised(self, x, weights, mean, variance, training):
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=weights["gamma"],
            offset=weights["beta"],
            mean=mean,
            variance=variance,
            epsilon=EPSILON,
            is_training=training,
        )[:3]


def mean_of(shards: Sequence[Statistics]) -> Statistics:
    """Returns the mean of the statistics of some shards."""
    return {key: tf.add_n([shard[key] for shard in shards]) / len(shards) for key in shards[0]}
