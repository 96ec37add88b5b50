"""The counters of a run, which move with the weights, and the tensors of a training call that hooks read."""

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import stop_agreement
from estimator_mnist.model.batches import Block
from estimator_mnist.model.train_step import BlockResult

# Tensors of a training call, by name.
TRAIN_STEP = "train/step:0"  # global step after the call
LAST_GOOD_STEP = "train/last_good_step:0"  # of the call, with a finite loss
TRAIN_LOSS, TRAIN_ACCURACY = "train/loss:0", "train/accuracy:0"  # means over the call's images
TRAIN_IMAGES, LEARNING_RATE = "train/images:0", "train/learning_rate:0"  # images of the call; rate of its first step
EPOCH_LOSS = "epoch_loss"  # variable: the sum of the losses of each epoch's examples so far


def advance(experiment: Experiment, block: Block, result: BlockResult) -> tf.Tensor:
    """Moves the global step and the epochs' losses, and returns the global step after the call, int64 scalar.

    They move after the last update, so that no checkpoint can hold one without the other. The op of the returned
    tensor is the train_op.
    """
    global_step = tf.compat.v1.train.get_or_create_global_step()
    epoch_loss = _epoch_loss(experiment)
    epoch = block.first_step // experiment.steps_per_epoch  # the block lies within it
    loss_before = tf.gather(epoch_loss.read_value(), epoch)
    steps = tf.cast(result.steps, tf.int64)
    with tf.control_dependencies([result.updates]):
        if block.step_numbers is None:
            # Added up one by one, starting from the sum of the block before: the same sum however an epoch is cut.
            loss_of_steps = tf.concat([[loss_before], tf.cast(result.loss_of_step, tf.float64)], axis=0)
            keep_loss = tf.compat.v1.scatter_update(epoch_loss, epoch, tf.cumsum(loss_of_steps)[-1])
            moved = global_step.assign_add(steps)
            step_after = block.first_step + steps
        else:
            loss = tf.reduce_sum(tf.cast(result.loss_of_step, tf.float64))
            keep_loss = tf.compat.v1.scatter_add(epoch_loss, epoch, loss)
            moved = step_after = global_step.assign_add(steps, read_value=True)
    with tf.control_dependencies([moved, keep_loss]):
        return tf.identity(step_after)


def _epoch_loss(experiment: Experiment) -> tf.Variable:
    # In the checkpoint, so that a run that was killed still knows the mean losses of its first epochs.
    return tf.compat.v1.get_variable(
        EPOCH_LOSS,
        dtype=tf.float64,
        initializer=lambda: tf.zeros([experiment.epochs], tf.float64),
        trainable=False,
        use_resource=True,
        aggregation=tf.compat.v1.VariableAggregation.ONLY_FIRST_REPLICA,  # all of them have the same sums
    )


def report(block: Block, result: BlockResult, step_after: tf.Tensor) -> tf.Tensor:
    """Names the tensors that hooks read, and returns the mean loss, float32 scalar."""
    images, steps = tf.cast(result.examples, tf.float32), tf.cast(result.steps, tf.int64)
    loss = tf.divide(tf.reduce_sum(result.loss_of_step), images, name=TRAIN_LOSS[:-2])
    tf.divide(result.correct, images, name=TRAIN_ACCURACY[:-2])
    finite = tf.cast(tf.math.is_finite(result.loss_of_step), tf.int32)
    good_steps = tf.cast(tf.reduce_sum(tf.math.cumprod(finite)), tf.int64)
    tf.identity(step_after, name=TRAIN_STEP[:-2])
    tf.add(step_after - steps, good_steps, name=LAST_GOOD_STEP[:-2])
    tf.identity(result.examples, name=TRAIN_IMAGES[:-2])
    tf.identity(result.learning_rate, name=LEARNING_RATE[:-2])
    stop_agreement.build(block.first_step, [result.correct])
    return loss


class LastStepHook(tf.estimator.SessionRunHook):
    """Ends training at the experiment's last step.

    TensorFlow's StopAtStepHook takes a session call for one step. Where calls make several, it asks for one call more.
    """

    def __init__(self, last_step: int):
        self._last_step = last_step

    def before_run(self, run_context):
        return tf.estimator.SessionRunArgs(TRAIN_STEP)

    def after_run(self, run_context, run_values):
        if run_values.results >= self._last_step:
            run_context.request_stop()
