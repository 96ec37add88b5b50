"""The loss of an experiment: cross entropy, one that its architecture brings along, or a user's own."""

from typing import Tuple

import tensorflow as tf

from estimator_mnist.architectures.architecture import Loss
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.user_code import UserFunction


def create(experiment: Experiment) -> Loss:
    """Returns the loss of an experiment; see `architectures.architecture.Loss` for its methods."""
    function = experiment.user_function("loss")
    if function:
        return UserLoss(function)
    if experiment.loss == "cross_entropy":
        return CrossEntropy(experiment.classes, experiment.label_smoothing)
    assert experiment.architecture.loss, experiment.loss  # Experiment has checked it
    return experiment.architecture.loss(experiment)


class CrossEntropy:
    """The cross entropy of the softmax. In training, a share of each target may be spread over all classes (label
    smoothing, Szegedy et al., arXiv 1512.00567, section 7)."""

    unit = "cross entropy (nats)"

    def __init__(self, classes: int, label_smoothing: float = 0.0):
        self._classes, self._smoothing = classes, label_smoothing

    def per_example(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

    def with_gradient(self, labels: tf.Tensor, logits: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        if self._smoothing:
            spread = self._smoothing / self._classes
            targets = tf.one_hot(labels, self._classes, 1.0 - self._smoothing + spread, spread)
            return tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=logits, labels=targets)
        return tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=logits, labels=labels)


class UserLoss:
    """A function of a user's file: labels, int32 [n], and logits, float32 [n, classes], to losses, float32 [n]."""

    def __init__(self, function: UserFunction):
        self._function = function
        self.unit = function.name

    def per_example(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        losses = self._function(labels, logits)
        if losses is None:
            raise self._function.refuse("returned nothing; it must return the loss of each example, float32 [n]")
        with self._function.checked():
            losses = tf.convert_to_tensor(losses)
        if losses.dtype != tf.float32 or losses.shape.rank not in (1, None):
            wrong = f"returned {losses.dtype.name} of shape {losses.shape}"
            raise self._function.refuse(f"{wrong}; it must return the loss of each example, float32 [n]")
        return tf.ensure_shape(losses, labels.shape)

    def with_gradient(self, labels: tf.Tensor, logits: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        losses = self.per_example(labels, logits)
        with self._function.checked():
            (gradient,) = tf.gradients(losses, logits)
        if gradient is None:
            raise self._function.refuse("returned losses without a gradient; they must depend on the logits")
        return losses, tf.convert_to_tensor(gradient)
