"""The losses. Each is the penalty of the right class plus the logarithm of what competes with it:

    loss = -logit[label] + log(sum over what competes of e^logit)

With all classes competing it is the cross entropy of the softmax. The others are those of LeCun et al. 1998, section
II.C, the logits being minus the penalties y_i. Their "MSE" (equation 8) has no second term. In their "MAP" (equation 9)
a class "rubbish" competes with the others, whose penalty is a constant j.
"""

from typing import Tuple

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment

# The paper's j; it tells only that it is positive. A wrong class whose penalty is far above it is not pushed further.
# Chosen on held-out training images, see BUILD_NOTES.md.
RUBBISH_PENALTY = 10.0
# What the loss of one example is called in pictures.
UNITS = {
    "cross_entropy": "cross entropy (nats)",
    "mse": "penalty of the right class",
    "map": "penalty and competition (nats)",
}


def of_examples(experiment: Experiment, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns the loss of each example, float32 [n], as evaluations take it: without label smoothing.

    Args:
        experiment: Its loss.
        labels: int32 [n].
        logits: float32 [n, classes].
    """
    if experiment.loss == "mse":
        return -tf.gather(logits, labels, batch_dims=1)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, _competing(experiment, logits))


def with_gradient(experiment: Experiment, labels: tf.Tensor, logits: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns the loss of each example, float32 [n], and its gradient to the logits, float32 [n, classes].

    Args: as of `of_examples`; the experiment's label_smoothing counts.
    """
    if experiment.loss == "mse":
        gradient = -tf.one_hot(labels, experiment.classes)
        return tf.reduce_sum(gradient * logits, axis=1), gradient
    if experiment.label_smoothing:
        spread = experiment.label_smoothing / experiment.classes
        targets = tf.one_hot(labels, experiment.classes, 1.0 - experiment.label_smoothing + spread, spread)
        return tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=logits, labels=targets)
    competing = _competing(experiment, logits)
    loss, gradient = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=competing, labels=labels)
    return loss, gradient if competing is logits else gradient[:, : experiment.classes]


def posterior(experiment: Experiment, logits: tf.Tensor) -> tf.Tensor:
    """Returns the gradient of the second term to the logits, float32 [n, classes].

    It is what the loss takes for the probability of each class; they add up to 1 with those of what competes beside
    the classes, or to 0 where nothing competes.
    """
    if experiment.loss == "mse":
        return tf.zeros_like(logits)
    return tf.nn.softmax(_competing(experiment, logits))[:, : experiment.classes]


def _competing(experiment: Experiment, logits: tf.Tensor) -> tf.Tensor:
    """Returns the logits of all that competes, the classes first."""
    return tf.pad(logits, [[0, 0], [0, 1]], constant_values=-RUBBISH_PENALTY) if experiment.loss == "map" else logits
