"""Optimizers, as functions of the step: a step computes only what it needs.

The updates are TensorFlow's own fused kernels, those behind `tf.keras.optimizers`. They are called directly: both
optimizer classes of TensorFlow keep state (their iteration, powers of beta) beside the global step, and cost more than
the step of a small network when they run inside a `tf.while_loop`.
"""

from typing import List, Optional, Sequence

import tensorflow as tf

from estimator_mnist.architectures.architecture import StepSizes
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers.network import Network
from estimator_mnist.layers.variables import Parameter, create
from estimator_mnist.model import user_optimizer
from estimator_mnist.model.schedules import learning_rate

# Kingma and Ba, "Adam" (arXiv 1412.6980), algorithm 1; epsilon as in Keras.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7
MOMENTUM = 0.9
SLOTS = {"adam": ("m", "v"), "momentum": ("momentum",)}  # variables beside each weight, by optimizer


def step_scalars(experiment: Experiment, steps: tf.Tensor) -> tf.Tensor:
    """Returns what the updates of some steps need, float32 [n, 4]: learning rate, powers of Adam's betas, and step.

    Args:
        experiment: Its optimizer and schedule.
        steps: int64 [n], each counted from 0.
    """
    # Computed in float64 and rounded once: the last bit of a float32 may depend on how many steps are computed at a
    # time.
    count = tf.cast(steps + 1, tf.float64)
    powers = [tf.pow(tf.constant(beta, tf.float64), count) for beta in (BETA1, BETA2)]
    columns = [learning_rate(experiment, steps), *powers, count - 1]
    return tf.cast(tf.stack(columns, axis=1), tf.float32)


class Optimizer:
    """Applies gradients to the trained parameters of a network. Its slots are made with it, outside any loop."""

    def __init__(self, experiment: Experiment, network: Network):
        """
        Args:
            experiment: Names the optimizer.
            network: With its variables made.
        """
        self._kind = experiment.optimizer
        self._step_sizes: Optional[StepSizes] = None
        self._of_user = user_optimizer.create(experiment)
        if self._of_user:
            self._kind, slot_names = self._of_user.name, self._of_user.slots
        else:
            slot_names = SLOTS.get(self._kind, ())
        if self._kind == "lecun":
            assert experiment.architecture.step_sizes  # Experiment has checked it
            self._step_sizes = experiment.architecture.step_sizes(experiment, network)
        self.variables: List[tf.Variable] = []  # all parts of all parameters
        self.slots: List[List[tf.Variable]] = []  # of each of those
        for parameter in (network.variables[key] for key in network.trained()):
            slots = [self._create_slot(parameter, name) for name in slot_names]
            for part, variable in enumerate(parameter.parts):
                self.variables.append(variable)
                self.slots.append([slot.parts[part] for slot in slots])

    def _create_slot(self, of: Parameter, name: str) -> Parameter:
        def zeros() -> tf.Tensor:
            return tf.zeros(of.shape)

        return create(f"{of.name}/{self._kind}/{name}", of.shape, zeros, len(of.parts), of.axis, trainable=False)

    def begin(self, network: Network, curvature_images: Optional[tf.Tensor], first_step: tf.Tensor) -> None:
        """Prepares the updates of a session call that starts at a step (int64 scalar); called once, before `apply`.

        Args:
            network: Whose weights are trained.
            curvature_images: Training images, for step sizes to be estimated on.
            first_step: int64 scalar.
        """
        if self._step_sizes:
            assert curvature_images is not None
            self._step_sizes.begin(network, curvature_images, first_step)

    def apply(self, gradients: Sequence[tf.Tensor], scalars: Sequence[tf.Tensor]) -> tf.Operation:
        """Updates every variable.

        Args:
            gradients: One for each of `variables`, float32, of its shape.
            scalars: The row of `step_scalars` for the step: four float32 scalars.
        """
        if self._step_sizes:
            gradients = self._step_sizes.scale(gradients)
        zipped = zip(self.variables, self.slots, gradients)
        return tf.group(*(self._update(variable, slots, gradient, scalars) for variable, slots, gradient in zipped))

    def _update(
        self, variable: tf.Variable, slots: List[tf.Variable], gradient: tf.Tensor, scalars: Sequence[tf.Tensor]
    ) -> tf.Operation:
        rate, beta1_power, beta2_power, step = scalars
        if self._of_user:
            return self._of_user.update(variable, slots, gradient, [rate, step])
        if self._kind == "adam":
            first_moment, second_moment = slots
            return tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=first_moment.handle,
                v=second_moment.handle,
                beta1_power=beta1_power,
                beta2_power=beta2_power,
                lr=rate,
                beta1=BETA1,
                beta2=BETA2,
                epsilon=EPSILON,
                grad=gradient,
            )
        if self._kind == "momentum":
            return tf.raw_ops.ResourceApplyMomentum(
                var=variable.handle, accum=slots[0].handle, lr=rate, grad=gradient, momentum=MOMENTUM
            )
        return tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)
