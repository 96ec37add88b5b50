"""The EstimatorSpec of each mode; the only place that asks which mode it is."""

from typing import Dict, Optional, Tuple

import tensorflow as tf

from estimator_mnist import networks
from estimator_mnist.experiment import Experiment
from estimator_mnist.optimizers import Optimizer, learning_rate

# Tensors of a training call that hooks read, by name.
TRAIN_STEP = "train/step:0"  # global step after the call
TRAIN_LOSS, TRAIN_ACCURACY = "train/loss:0", "train/accuracy:0"  # means over the call's images
TRAIN_IMAGES, LEARNING_RATE = "train/images:0", "train/learning_rate:0"  # images of the call; rate of its first step
EPOCH_LOSS = "epoch_loss"  # variable: the sum of the losses of each epoch's examples so far


def model_fn(
    features: Dict[str, tf.Tensor],
    labels: Optional[tf.Tensor],
    mode: str,
    params: Dict[str, Experiment],
) -> tf.estimator.EstimatorSpec:
    """Returns what Estimator runs in a mode.

    Args:
        features: {"image": float32 [n, 28, 28, 1] or [n, 28, 28] in [0, 1]}. In TRAIN a block: the examples of one or
            more successive batches, which are trained on one after the other.
        labels: Class indices, integer [n], or one-hot, [n, classes]; None in PREDICT.
        mode: A `tf.estimator.ModeKeys`.
        params: {"experiment": the Experiment}.
    """
    experiment = params["experiment"]
    network = networks.create(experiment)
    network.build(experiment.seed)
    images = features["image"]
    if labels is not None:
        labels = _class_indices(labels)

    if mode == tf.estimator.ModeKeys.TRAIN:
        return _train_spec(experiment, network, images, labels)
    logits = network(images)
    if mode == tf.estimator.ModeKeys.EVAL:
        return _eval_spec(experiment, logits, labels)
    return tf.estimator.EstimatorSpec(mode, predictions=predictions(logits))


def predictions(logits: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Returns logits and probabilities, float32 [n, classes], and classes, int64 [n]."""
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
        "classes": tf.argmax(logits, axis=1),
    }


def _class_indices(labels: tf.Tensor) -> tf.Tensor:
    return tf.cast(labels if labels.shape.rank == 1 else tf.argmax(labels, axis=1), tf.int32)


def _example_losses(experiment: Experiment, labels: tf.Tensor, logits: tf.Tensor, smooth: bool = False) -> tf.Tensor:
    """Returns the cross entropy of each example in nats, float32 [n]; with `smooth` against smoothed labels."""
    if smooth and experiment.label_smoothing:
        spread = experiment.label_smoothing / experiment.classes
        targets = tf.one_hot(labels, experiment.classes, 1.0 - experiment.label_smoothing + spread, spread)
        return tf.nn.softmax_cross_entropy_with_logits(targets, logits)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)


def _correct(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns whether each example is classified right, float32 [n]."""
    return tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), tf.float32)


def _train_spec(
    experiment: Experiment, network: networks.Network, images: tf.Tensor, labels: tf.Tensor
) -> tf.estimator.EstimatorSpec:
    variables = list(network.variables.values())
    optimizer = Optimizer(experiment, variables)
    global_step = tf.compat.v1.train.get_or_create_global_step()
    # In the checkpoint, so that a run that was killed still knows the mean losses of its first epochs.
    epoch_loss = tf.compat.v1.get_variable(
        EPOCH_LOSS, initializer=tf.zeros([experiment.epochs], tf.float64), trainable=False, use_resource=True
    )
    first_step = global_step.read_value()
    epoch = first_step // experiment.steps_per_epoch  # the block lies within it
    losses_before = tf.gather(epoch_loss, epoch)
    count = tf.shape(labels)[0]

    def train_on_batch(batch: tf.Tensor, losses: tf.Tensor, corrects: tf.Tensor) -> Tuple[tf.Tensor, ...]:
        """One training step, on batch number `batch` of the block."""
        step = first_step + tf.cast(batch, tf.int64)
        first, last = batch * experiment.batch_size, (batch + 1) * experiment.batch_size
        logits = network(images[first:last], dropout_step=tf.stack([tf.constant(experiment.seed, tf.int64), step]))
        example_losses = _example_losses(experiment, labels[first:last], logits, smooth=True)
        gradients = tf.gradients(tf.reduce_mean(example_losses), variables)
        update = optimizer.apply(gradients, step, learning_rate(experiment, step))
        # The next step begins when this one's updates are done.
        with tf.control_dependencies([update]):
            batch = batch + 1
        return (
            batch,
            losses + tf.cast(tf.reduce_sum(example_losses), tf.float64),
            corrects + tf.reduce_sum(_correct(labels[first:last], logits)),
        )

    batches = (count + experiment.batch_size - 1) // experiment.batch_size
    # The sum of losses goes on from the block before, so that it is the same however the epoch is cut into blocks.
    state = (tf.constant(0), losses_before, tf.constant(0.0))
    if experiment.steps_per_loop > 1:
        # Ends early at a loss that is not finite, so that the step that gave it is known.
        state = tf.while_loop(
            lambda batch, losses, _: tf.logical_and(batch < batches, tf.math.is_finite(losses)), train_on_batch, state
        )
    else:
        state = train_on_batch(*state)
    done, losses, corrects = state

    # The counter moves with the last update, so that no checkpoint can hold one without the other.
    with tf.control_dependencies([done]):
        keep_loss = tf.compat.v1.scatter_update(epoch_loss, epoch, losses)
        train_op = tf.group(global_step.assign_add(tf.cast(done, tf.int64)), keep_loss)
    block_loss = tf.cast(losses - losses_before, tf.float32)
    loss = tf.divide(block_loss, tf.cast(count, tf.float32), name=TRAIN_LOSS[:-2])
    tf.divide(corrects, tf.cast(count, tf.float32), name=TRAIN_ACCURACY[:-2])
    tf.add(first_step, tf.cast(done, tf.int64), name=TRAIN_STEP[:-2])
    tf.identity(count, name=TRAIN_IMAGES[:-2])
    tf.identity(learning_rate(experiment, first_step), name=LEARNING_RATE[:-2])
    return tf.estimator.EstimatorSpec(tf.estimator.ModeKeys.TRAIN, loss=loss, train_op=train_op)


def _eval_spec(experiment: Experiment, logits: tf.Tensor, labels: tf.Tensor) -> tf.estimator.EstimatorSpec:
    correct = _correct(labels, logits)
    # One metric with a value for each class, for a metric for each class costs as much as the evaluation itself.
    in_class = tf.reduce_sum(tf.one_hot(labels, experiment.classes), axis=0)
    correct_in_class = tf.reduce_sum(tf.one_hot(labels, experiment.classes) * correct[:, tf.newaxis], axis=0)
    share = tf.math.divide_no_nan(correct_in_class, in_class)
    by_class, update_by_class = tf.compat.v1.metrics.mean_tensor(share, weights=in_class)
    metrics = {"accuracy": tf.compat.v1.metrics.mean(correct)}
    for index, name in enumerate(experiment.class_names):
        metrics[f"accuracy_of_class/{name}"] = (by_class[index], update_by_class)
    # Estimator takes the plain mean of this over the batches. Scaled so that every example counts the same, those of a
    # smaller last batch too.
    batches = -(-experiment.test_examples // experiment.eval_batch_size)
    sum_of_losses = tf.reduce_sum(_example_losses(experiment, labels, logits))
    loss = sum_of_losses * (batches / experiment.test_examples)
    return tf.estimator.EstimatorSpec(tf.estimator.ModeKeys.EVAL, loss=loss, eval_metric_ops=metrics)
