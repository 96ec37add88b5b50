"""A moving average of the weights, for evaluations and exports in place of the weights that are trained.

In a checkpoint the average has the plain names, such as "conv1/kernel", and what is trained has "conv1/kernel/trained":
so all that reads checkpoints takes the average without knowing of it.
"""

from typing import Any, Dict, Optional

import tensorflow as tf

from estimator_mnist.experiment import Experiment
from estimator_mnist.networks import Network
from estimator_mnist.parameters import Parameter

TRAINED = "/trained"  # after a weight's name


class Average:
    """The averages of a network's weights. Made with the network's own variables, outside any loop."""

    def __init__(self, averages: Dict[Any, Parameter], network: Network):
        """
        Args:
            averages: By the keys of network.variables, and divided as those.
            network: With the variables that are trained.
        """
        self._pairs = [
            pair for key, average in averages.items() for pair in zip(average.parts, network.variables[key].parts)
        ]

    def update(self, share: tf.Tensor) -> tf.Operation:
        """Moves the averages a share of the way, float32 scalar, to where the weights are by now."""
        updates = []
        for average, trained in self._pairs:
            way = average.read_value() - trained.read_value()
            # Gradient descent is the one kernel that does this in place.
            updates.append(tf.raw_ops.ResourceApplyGradientDescent(var=average.handle, alpha=share, delta=way))
        return tf.group(*updates)


def build(experiment: Experiment, network: Network) -> Optional[Average]:
    """Makes the variables of a network that is to be trained and, where the experiment averages, of its average."""
    network.build(experiment.seed)
    if not experiment.average_decay:
        return None
    averages = network.variables
    network.build(experiment.seed, TRAINED)
    return Average(averages, network)


def shares(experiment: Experiment, steps: tf.Tensor) -> tf.Tensor:
    """Returns the share of the new weights in the average after each step (int64 [n], counted from 0), float32 [n].

    1 - decay, but more in the first steps, as in `tf.train.ExponentialMovingAverage`: the start is forgotten sooner.
    """
    done = tf.cast(steps, tf.float64)
    least = tf.constant(1.0 - experiment.average_decay, tf.float64)
    return tf.cast(tf.maximum(least, 9.0 / (10.0 + done)), tf.float32)
