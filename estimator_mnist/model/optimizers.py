"""Optimizers and learning-rate schedules, as functions of the step: only what a step needs is computed in it.

The updates are TensorFlow's own fused kernels, those behind `tf.keras.optimizers`. They are called directly because
both optimizer classes of TensorFlow keep state (their iteration, powers of beta) beside the global step, and cost more
than the step of a small network when it runs inside a `tf.while_loop`.
"""

import math
from typing import Callable, List, Sequence

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers.variables import Parameter, create

# Kingma and Ba, "Adam" (arXiv 1412.6980), algorithm 1; epsilon as in Keras.
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-7
MOMENTUM = 0.9
# LeCun et al. 1998, section III.B: mu of equation 21, and how many examples its second derivatives are estimated on.
MU, CURVATURE_EXAMPLES = 0.02, 500
# The rate of each pass as a share of the first: 0.0005 twice, 0.0002 three times, 0.0001 three times, 0.00005 four
# times, and 0.00001 after that.
PAPER_SHARES = (1.0,) * 2 + (0.4,) * 3 + (0.2,) * 3 + (0.1,) * 4 + (0.02,)
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
    if experiment.learning_rate_schedule == "paper":
        passes = tf.minimum(steps // experiment.steps_per_epoch, len(PAPER_SHARES) - 1)
        return peak * tf.gather(tf.constant(PAPER_SHARES, tf.float64), passes)
    if experiment.learning_rate_schedule == "cosine":  # arXiv 1608.03983, without restarts
        return peak * 0.5 * (1.0 + tf.cos(math.pi * done))
    # one_cycle: up in a line, then to zero in a line; half a step late, so that no step has a rate of zero
    middle = done + 0.5 / total
    return peak * tf.minimum(middle / WARM_UP, (1.0 - middle) / (1.0 - WARM_UP))


class Optimizer:
    """Applies gradients to variables. Its slots are made with it, outside any loop.

    "lecun" is the stochastic diagonal Levenberg-Marquardt method of LeCun et al. 1998, appendix C: the step of a weight
    is rate / (MU + second derivative), which `begin` estimates before each pass. Its rate is that of one example, as in
    the paper: its gradients are sums over a batch, those of the others means.
    """

    def __init__(self, experiment: Experiment, parameters: Sequence[Parameter]):
        self.kind = experiment.optimizer
        names = {"adam": ("m", "v"), "momentum": ("momentum",), "sgd": (), "lecun": ("curvature",)}[self.kind]
        self.variables: List[tf.Variable] = []  # all parts of all parameters
        self.slots: List[List[tf.Variable]] = []  # of each of those
        self._gains: List[tf.Tensor] = []  # of "lecun": 1 / (MU + second derivative), for each of those
        for parameter in parameters:
            slots = [self._slot(parameter, name) for name in names]
            for part, variable in enumerate(parameter.parts):
                self.variables.append(variable)
                self.slots.append([slot.parts[part] for slot in slots])

    def _slot(self, of: Parameter, name: str) -> Parameter:
        def zeros() -> tf.Tensor:
            return tf.zeros(of.shape)

        return create(f"{of.name}/{self.kind}/{name}", of.shape, zeros, len(of.parts), of.axis, trainable=False)

    def begin(self, new_pass: tf.Tensor, estimate: Callable[[], List[tf.Tensor]]) -> None:
        """Sets the step sizes of "lecun" for the updates that follow; to be called once, before `apply`.

        A second derivative counts as the largest that was estimated so far. One that has fallen has done so because
        units saturate and examples are classified right; a step that grows for it overshoots at the first unit or
        example of which that is not so, and more units saturate.

        Args:
            new_pass: bool scalar, whether they are to be estimated anew.
            estimate: Returns the second derivative of the loss to each of `variables`.
        """
        slots = [slot for (slot,) in self.slots]
        kept = [slot.read_value() for slot in slots]
        curvatures = tf.cond(new_pass, lambda: list(map(tf.maximum, kept, estimate())), lambda: kept)
        with tf.control_dependencies([slot.assign(value) for slot, value in zip(slots, curvatures)]):
            self._gains = [1.0 / (MU + value) for value in curvatures]

    def apply(self, gradients: Sequence[tf.Tensor], scalars: Sequence[tf.Tensor]) -> tf.Operation:
        """Updates every variable.

        Args:
            gradients: One for each of `variables`, float32, of its shape.
            scalars: The row of `step_scalars` for the step: three float32 scalars.
        """
        rate, beta1_power, beta2_power = scalars
        updates = []
        if self.kind == "lecun":
            gradients = [gradient * gain for gradient, gain in zip(gradients, self._gains)]
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
