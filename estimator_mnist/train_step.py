"""The training steps of one session call: a block of batches, trained on one after the other.

The loop holds only what has to follow from step to step. What can be computed for all steps of the block at once is:
learning rates, dropout, and the loss and accuracy, from logits that the loop hands out.
"""

from typing import NamedTuple, Tuple

import tensorflow as tf

from estimator_mnist.experiment import Experiment
from estimator_mnist.networks import Network
from estimator_mnist.optimizers import Optimizer, step_scalars


class Block(NamedTuple):
    """What came of the steps of a block."""

    done: tf.Operation  # all of its updates
    steps: tf.Tensor  # int32 scalar
    loss_of_step: tf.Tensor  # float32 [steps], the sum over the batch's examples
    correct: tf.Tensor  # float32 scalar, examples classified right
    learning_rate: tf.Tensor  # float32 scalar, of the first step


def train_on_block(
    experiment: Experiment,
    network: Network,
    optimizer: Optimizer,
    images: tf.Tensor,
    labels: tf.Tensor,
    first_step: tf.Tensor,
) -> Block:
    """Makes a step on each batch of a block.

    Args:
        experiment: Its batch_size and label_smoothing say what a step is.
        network: With its variables made.
        optimizer: With its slots made.
        images: float32 [n, 28, 28, 1], one or more batches, the last one smaller if need be.
        labels: int32 [n].
        first_step: int64 scalar, steps done before the block.
    """
    size, count = experiment.batch_size, tf.shape(labels)[0]
    steps = (count + size - 1) // size
    images, labels, weights = _padded(images, labels, count, steps, size)
    noise = network.noise(experiment.seed, first_step, steps, size)
    scalars = step_scalars(experiment, first_step + tf.range(tf.cast(steps, tf.int64)))
    variables = optimizer.variables

    def step_on(batch: tf.Tensor, logits_of_step: tf.TensorArray, losses_of_step: tf.TensorArray) -> Tuple:
        def of_batch(block: tf.Tensor) -> tf.Tensor:
            rows = block[batch * size : (batch + 1) * size]
            # The static shape spares the gradients what they would compute for shapes that may differ.
            rows.set_shape([size, *block.shape[1:]])
            return rows

        logits = network(of_batch(images), {name: of_batch(value) for name, value in noise.items()})
        losses, gradient = _cross_entropy(experiment, of_batch(labels), logits)
        gradients = tf.gradients(logits, variables, gradient * of_batch(weights))
        update = optimizer.apply(gradients, tf.unstack(scalars[batch]))
        logits_of_step, losses_of_step = logits_of_step.write(batch, logits), losses_of_step.write(batch, losses)
        # The next step begins when this one's updates are done.
        with tf.control_dependencies([update]):
            return batch + 1, logits_of_step, losses_of_step

    state = (
        tf.constant(0),
        tf.TensorArray(tf.float32, steps, element_shape=[size, experiment.classes]),
        tf.TensorArray(tf.float32, steps, element_shape=[size]),
    )
    if experiment.steps_per_loop > 1:
        state = tf.while_loop(lambda batch, *_: batch < steps, step_on, state)
    else:
        state = step_on(*state)
    done, logits_of_step, losses_of_step = state
    with tf.control_dependencies([done]):
        finished = tf.no_op()
    real = tf.reshape(tf.sequence_mask(count, steps * size), [steps, size])
    right = tf.equal(tf.argmax(logits_of_step.concat(), axis=1, output_type=tf.int32), labels)
    # Where, and not times: a padded row of a network that has come to infinity must not count.
    losses = tf.where(real, losses_of_step.stack(), tf.zeros([]))
    return Block(
        finished,
        steps,
        tf.reduce_sum(losses, axis=1),
        tf.reduce_sum(tf.cast(right[:count], tf.float32)),
        scalars[0, 0],
    )


def _padded(
    images: tf.Tensor, labels: tf.Tensor, count: tf.Tensor, steps: tf.Tensor, size: int
) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the block with its last batch filled up, and the weight of each row in the mean of its batch.

    All batches then have one static shape; the rows that fill up weigh nothing.
    """
    missing = steps * size - count

    def fill(values: tf.Tensor) -> tf.Tensor:
        # tf.pad copies the block: only where something is missing.
        margins = [[0, missing]] + [[0, 0]] * (values.shape.rank - 1)
        return tf.cond(missing > 0, lambda: tf.pad(values, margins), lambda: values)

    positions = tf.range(steps * size)
    in_batch = tf.where(positions < count // size * size, size, count % size)
    weights = tf.where(positions < count, 1.0 / tf.cast(in_batch, tf.float32), tf.zeros([]))
    return fill(images), fill(labels), weights[:, tf.newaxis]


def _cross_entropy(experiment: Experiment, labels: tf.Tensor, logits: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns the loss of each example, float32 [n], and its gradient to the logits, float32 [n, classes]."""
    if experiment.label_smoothing:
        spread = experiment.label_smoothing / experiment.classes
        targets = tf.one_hot(labels, experiment.classes, 1.0 - experiment.label_smoothing + spread, spread)
        return tf.raw_ops.SoftmaxCrossEntropyWithLogits(features=logits, labels=targets)
    return tf.raw_ops.SparseSoftmaxCrossEntropyWithLogits(features=logits, labels=labels)
