"""The stochastic diagonal Levenberg-Marquardt method (LeCun et al. 1998, appendix C): a step size for each weight.

The step of a weight is rate / (MU + second derivative); the second derivatives are estimated before each pass. The rate
is that of one example, as in the paper: gradients are sums over a batch here, and means elsewhere.
"""

from typing import List, Sequence

import tensorflow as tf

from estimator_mnist.architectures.lenet5_1998 import hessian_diagonal
from estimator_mnist.layers import variables
from estimator_mnist.layers.network import Network

MU = 0.02  # of equation 21 (section III.B)


class DiagonalStepSizes:
    """Estimates and keeps the second derivatives; see `architectures.architecture.StepSizes`.

    Its variables are made with it, outside any loop.
    """

    def __init__(self, loss: str, steps_per_epoch: int, network: Network):
        """
        Args:
            loss: Of the experiment.
            steps_per_epoch: Steps in a pass.
            network: With its variables made.
        """
        self._loss, self._steps_per_epoch = loss, steps_per_epoch
        self._slots = [_slot(network.variables[key]) for key in network.trained()]
        self._gains: List[tf.Tensor] = []

    def begin(self, network: Network, images: tf.Tensor, first_step: tf.Tensor) -> None:
        """Estimates the step sizes again at the first step of each pass, where a session call always begins.

        A second derivative counts as the largest that was estimated so far. One that has fallen has done so because
        units saturate and examples are classified right. A step that grows with it overshoots at the first unit or
        example for which that does not hold, and more units saturate.

        Args:
            network: Whose weights are trained.
            images: Training images, uint8 or float32 [n, height, width, channels].
            first_step: int64 scalar, of the session call.
        """
        weights = network.read()
        previous = [slot.read_value() for slot in self._slots]

        def estimate() -> List[tf.Tensor]:
            initial = tf.equal(first_step, 0)
            widened = hessian_diagonal.as_if_drawn_wider(network, weights)
            at = {key: [tf.where(initial, widened[key][0], part)] for key, (part,) in weights.items()}
            diagonal = hessian_diagonal.diagonal(self._loss, network, at, images)
            return [tf.maximum(largest, diagonal[key]) for largest, key in zip(previous, network.variables)]

        new_pass = tf.equal(first_step % self._steps_per_epoch, 0)
        curvatures = tf.cond(new_pass, estimate, lambda: previous)
        assigned = [slot.assign(value) for slot, value in zip(self._slots, curvatures)]
        with tf.control_dependencies(assigned):
            self._gains = [1.0 / (MU + value) for value in curvatures]

    def scale(self, gradients: Sequence[tf.Tensor]) -> List[tf.Tensor]:
        return [gradient * gain for gradient, gain in zip(gradients, self._gains)]


def _slot(parameter: variables.Parameter) -> tf.Variable:
    """Makes the variable of a parameter's second derivatives, under the name that checkpoints have for it."""

    def zeros() -> tf.Tensor:
        return tf.zeros(parameter.shape)

    slot = variables.create(f"{parameter.name}/lecun/curvature", parameter.shape, zeros, trainable=False)
    return slot.parts[0]
