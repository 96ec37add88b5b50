"""An exponential moving average (EMA) of the weights, used in evaluations and exports in place of the trained weights.

In a checkpoint the average has the plain names, such as "conv1/kernel", and the trained weight is called
"conv1/kernel/trained". So everything that reads checkpoints gets the average without knowing of it.
"""

from typing import Any, Dict, Optional

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers.network import Network
from estimator_mnist.layers.variables import Parameter

TRAINED = "/trained"  # after a weight's name


class WeightAverage:
    """The averages of a network's weights. Made with the network's own variables, outside any loop."""

    def __init__(self, averages: Dict[Any, Parameter], network: Network):
        """
        Args:
            averages: By the keys of network.variables, and partitioned like those.
            network: With the variables that are trained.
        """
        self._pairs = [
            pair for key, average in averages.items() for pair in zip(average.parts, network.variables[key].parts)
        ]

    def update(self, share: tf.Tensor) -> tf.Operation:
        """Moves the averages a share of the way (float32 scalar) to the current weights."""
        return tf.group(*(move(average, trained.read_value(), share) for average, trained in self._pairs))


def move(average: tf.Variable, to: tf.Tensor, share: tf.Tensor) -> tf.Operation:
    """Moves a variable a share of the way to a value. In a loop it needs control dependencies on the step before."""
    # Gradient descent is the one kernel that does this in place.
    distance = average.read_value() - to
    return tf.raw_ops.ResourceApplyGradientDescent(var=average.handle, alpha=share, delta=distance)


def build(experiment: Experiment, network: Network) -> Optional[WeightAverage]:
    """Makes the variables of a network to be trained and, where the experiment averages weights, of their average."""
    network.build(experiment.seed)
    if not experiment.average_decay:
        return None
    averages = network.variables
    network.build(experiment.seed, TRAINED)
    return WeightAverage(averages, network)


def shares(decay: float, steps: tf.Tensor) -> tf.Tensor:
    """Returns the share of the newest value in an average after each step (int64 [n], counted from 0), float32 [n].

    1 - decay, but more in the first steps, as in `tf.train.ExponentialMovingAverage`: the start is forgotten sooner.
    """
    done = tf.cast(steps, tf.float64)
    least = tf.constant(1.0 - decay, tf.float64)
    return tf.cast(tf.maximum(least, 9.0 / (10.0 + done)), tf.float32)
