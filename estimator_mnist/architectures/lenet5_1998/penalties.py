"""The losses of LeCun et al. 1998, section II.C, on logits that are minus the penalties y_i of the classes:

    loss = -logit[label] + log(sum over what competes of e^logit)

"mse" (equation 8) has no second term. In "map" (equation 9) a class "rubbish" competes with the others; its penalty is
a constant j. Cross entropy, where the classes alone compete, is known here for its posterior.
"""

from typing import Tuple

import tensorflow as tf

from estimator_mnist.architectures.architecture import Loss

# The paper's j, of which it says only that it is positive. A wrong class whose penalty is far above it is not pushed
# further. Chosen on held-out training images, see BUILD_NOTES.md.
RUBBISH_PENALTY = 10.0


def create(name: str, classes: int) -> Loss:
    """Returns the loss "mse" or "map"."""
    return MeanSquaredError(classes) if name == "mse" else MaximumAPosteriori(classes)


class MeanSquaredError:
    """The penalty of the right class, and nothing else."""

    unit = "penalty of the right class"

    def __init__(self, classes: int):
        self._classes = classes

    def per_example(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return -tf.gather(logits, labels, batch_dims=1)

    def with_gradient(self, labels: tf.Tensor, logits: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        gradient = -tf.one_hot(labels, self._classes)
        return tf.reduce_sum(gradient * logits, axis=1), gradient


class MaximumAPosteriori:
    """The penalty of the right class, and the competition of all classes and of rubbish."""

    unit = "penalty and competition (nats)"

    def __init__(self, classes: int):
        self._classes = classes

    def per_example(self, labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, with_rubbish(logits))

    def with_gradient(self, labels: tf.Tensor, logits: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        competitors = with_rubbish(logits)
        loss, gradient = tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=competitors, labels=labels)
        return loss, gradient[:, : self._classes]


def posterior(loss: str, logits: tf.Tensor) -> tf.Tensor:
    """Returns the gradient of a loss's second term to the logits, float32 [n, classes].

    The loss takes it for the probability of each class. It adds up to 1 together with the share of rubbish, or to 0
    where nothing competes.
    """
    if loss == "mse":
        return tf.zeros_like(logits)
    if loss == "map":
        return tf.nn.softmax(with_rubbish(logits))[:, : logits.shape[1]]
    return tf.nn.softmax(logits)


def with_rubbish(logits: tf.Tensor) -> tf.Tensor:
    """Returns the logits with the logit of rubbish behind them, float32 [n, classes + 1]."""
    return tf.pad(logits, [[0, 0], [0, 1]], constant_values=-RUBBISH_PENALTY)
