"""Optimizers and learning-rate schedules, as functions of the step: only what a step needs is computed in it.

The updates are TensorFlow's own fused kernels, those behind `tf.keras.optimizers`. They are called directly because
both optimizer classes of TensorFlow keep state (their iteration, powers of beta) beside the global step, and cost more
than the step of a small network when it runs inside a `tf.while_loop`.
"""

import math
from typing import List, Sequence

import tensorflow as tf

from estimator_mnist.experiment import Experiment
from estimator_mnist.parameters import Parameter, create

# Kingma and Ba, "Adam" (arXiv 1412.6980), algorithm 1; epsilon as in Keras.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7
MOMENTUM = 0.9
WARM_UP = 0.2  # share of the run in which one_cycle's rate rises


def step_scalars(experiment: Experiment, steps: tf.Tensor) -> tf.Tensor:
    """Returns what the updates of some steps need, float32 [n, 3]: learning rate, and the powers of Adam's betas.

    Args:
        experiment: Its optimizer and schedule.
        steps: int64 [n], each counted from 0.
    """
    # In float64, and rounded at the end: the last bit of a float32 may hang on how many steps are computed at a time.
    count = tf.cast(steps + 1, tf.float64)
    powers = [tf.pow(tf.constant(beta, tf.float64), count) for beta in (BETA1, BETA2)]
    return tf.cast(tf.stack([learning_rate(experiment, steps), *powers], axis=1), tf.float32)


def learning_rate(experiment: Experiment, steps: tf.Tensor) -> tf.Tensor:
    """Returns the rate of each step (int64 [n], counted from 0), float64 [n]."""
    peak, total = tf.constant(experiment.learning_rate, tf.float64), experiment.total_steps
    done = tf.cast(steps, tf.float64) / total
    if experiment.learning_rate_schedule == "constant":
        return tf.fill(tf.shape(steps), peak)
    if experiment.learning_rate_schedule == "cosine":  # arXiv 1608.03983, without restarts
        return peak * 0.5 * (1.0 + tf.cos(math.pi * done))
    # one_cycle: up in a line, then to zero in a line; half a step late, so that no step has a rate of zero
    middle = done + 0.5 / total
    return peak * tf.minimum(middle / WARM_UP, (1.0 - middle) / (1.0 - WARM_UP))


class Optimizer:
    """Applies gradients to variables. Its slots are made with it, outside any loop."""

    def __init__(self, experiment: Experiment, parameters: Sequence[Parameter]):
        self.kind = experiment.optimizer
        names = {"adam": ("m", "v"), "momentum": ("momentum",), "sgd": ()}[self.kind]
        self.variables: List[tf.Variable] = []  # all parts of all parameters
        self.slots: List[List[tf.Variable]] = []  # of each of those
        for parameter in parameters:
            slots = [self._slot(parameter, name) for name in names]
            for part, variable in enumerate(parameter.parts):
                self.variables.append(variable)
                self.slots.append([slot.parts[part] for slot in slots])

    def _slot(self, of: Parameter, name: str) -> Parameter:
        def zeros() -> tf.Tensor:
            return tf.zeros(of.shape)

        return create(f"{of.name}/{self.kind}/{name}", of.shape, zeros, len(of.parts), of.axis, trainable=False)

    def apply(self, gradients: Sequence[tf.Tensor], scalars: Sequence[tf.Tensor]) -> tf.Operation:
        """Updates every variable.

        Args:
            gradients: One for each of `variables`, float32, of its shape.
            scalars: The row of `step_scalars` for the step: three float32 scalars.
        """
        rate, beta1_power, beta2_power = scalars
        updates = []
        for variable, slots, gradient in zip(self.variables, self.slots, gradients):
            handle, slot_handles = variable.handle, [slot.handle for slot in slots]
            if self.kind == "adam":
                update = tf.raw_ops.ResourceApplyAdam(
                    var=handle,
                    m=slot_handles[0],
                    v=slot_handles[1],
                    beta1_power=beta1_power,
                    beta2_power=beta2_power,
                    lr=rate,
                    beta1=BETA1,
                    beta2=BETA2,
                    epsilon=EPSILON,
                    grad=gradient,
                )
            elif self.kind == "momentum":
                update = tf.raw_ops.ResourceApplyMomentum(
                    var=handle, accum=slot_handles[0], lr=rate, grad=gradient, momentum=MOMENTUM
                )
            else:
                update = tf.raw_ops.ResourceApplyGradientDescent(var=handle, alpha=rate, delta=gradient)
            updates.append(update)
        return tf.group(*updates)
