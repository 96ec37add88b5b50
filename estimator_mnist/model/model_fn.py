"""The EstimatorSpec of each mode; the only place that asks which mode it is."""

from typing import Dict, Optional

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies
from estimator_mnist.layers import network as networks
from estimator_mnist.layers.network import scaled
from estimator_mnist.model import cpu_parallelism, losses, weight_ema
from estimator_mnist.model.optimizers import Optimizer
from estimator_mnist.model.train_step import train_on_block

# Tensors of a training call that hooks read, by name.
TRAIN_STEP = "train/step:0"  # global step after the call
LAST_GOOD_STEP = "train/last_good_step:0"  # of the call, with a finite loss
TRAIN_LOSS, TRAIN_ACCURACY = "train/loss:0", "train/accuracy:0"  # means over the call's images
# Among replicas: whether the process is asked to stop, which it feeds; how many are; whether all are at the same step.
STOP_REQUESTED, STOPS_REQUESTED = "train/stop_requested:0", "train/stops_requested:0"
SAME_STEP = "train/same_step:0"
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
        features: {"image": uint8 of 0 to 255 or float32 of 0 to 1, [n, 28, 28, 1] or [n, 28, 28]}. In TRAIN a block:
            the examples of one or more successive batches, which are trained on one after the other; for the optimizer
            "lecun" also {"first_image": the first images of the training split}; where several share the training,
            what `input_fns.train_input_fn` says of that.
        labels: Class indices, integer [n], or one-hot, [n, classes]; None in PREDICT.
        mode: A `tf.estimator.ModeKeys`.
        params: {"experiment": the Experiment}.
    """
    experiment = params["experiment"]
    training = mode == tf.estimator.ModeKeys.TRAIN
    network = networks.create(experiment, cpu_parallelism.parts(experiment) if training else 1)
    images = features["image"]
    if labels is not None:
        labels = _class_indices(labels)

    if training:
        return _train_spec(experiment, network, features, labels)
    network.build(experiment.seed)
    if mode == tf.estimator.ModeKeys.EVAL:
        logits = tf.concat([network(scaled(shard)) for shard in cpu_parallelism.of_shards(experiment, images)], axis=0)
        return _eval_spec(experiment, logits, labels)
    return _predict_spec(network(scaled(images)))


def _predict_spec(logits: tf.Tensor) -> tf.estimator.EstimatorSpec:
    predicted = predictions(logits)
    # Not a ClassificationOutput: its signature would take serialized tf.Examples and no images.
    classified = tf.estimator.export.PredictOutput({name: predicted[name] for name in ("classes", "probabilities")})
    outputs = {
        tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: classified,
        "classify": classified,
        "predict": tf.estimator.export.PredictOutput(predicted),
    }
    return tf.estimator.EstimatorSpec(tf.estimator.ModeKeys.PREDICT, predictions=predicted, export_outputs=outputs)


def predictions(logits: tf.Tensor) -> Dict[str, tf.Tensor]:
    """Returns logits and probabilities, float32 [n, classes], and classes, int64 [n]."""
    return {
        "logits": logits,
        "probabilities": tf.nn.softmax(logits),
        "classes": tf.argmax(logits, axis=1),
    }


def _class_indices(labels: tf.Tensor) -> tf.Tensor:
    return tf.cast(labels if labels.shape.rank == 1 else tf.argmax(labels, axis=1), tf.int32)


def _correct(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns whether each example is classified right, float32 [n]."""
    return tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), tf.float32)


@tf.autograph.experimental.do_not_convert  # it is plain TensorFlow; strategies would have its source read anew
def _train_spec(
    experiment: Experiment, network: networks.Network, features: Dict[str, tf.Tensor], labels: tf.Tensor
) -> tf.estimator.EstimatorSpec:
    average = weight_ema.build(experiment, network)
    optimizer = Optimizer(experiment, [network.variables[key] for key in network.trained()])
    global_step = tf.compat.v1.train.get_or_create_global_step()
    # In the checkpoint, so that a run that was killed still knows the mean losses of its first epochs.
    epoch_loss = tf.compat.v1.get_variable(
        EPOCH_LOSS,
        dtype=tf.float64,
        initializer=lambda: tf.zeros([experiment.epochs], tf.float64),
        trainable=False,
        use_resource=True,
        aggregation=tf.compat.v1.VariableAggregation.ONLY_FIRST_REPLICA,  # all of them have the same sums
    )
    step_numbers = features.get("step")  # of one of several processes that do not wait for each other
    first_step = global_step.read_value() if step_numbers is None else step_numbers[0]
    epoch = first_step // experiment.steps_per_epoch  # the block lies within it
    loss_before = tf.gather(epoch_loss.read_value(), epoch)
    block = train_on_block(
        experiment,
        network,
        optimizer,
        features["image"],
        labels,
        first_step,
        average,
        features.get("first_image"),
        features.get("examples"),
        step_numbers,
    )

    # The counter moves with the last update, so that no checkpoint can hold one without the other.
    with tf.control_dependencies([block.done]):
        if step_numbers is None:
            # Added up one by one, going on from the block before, so that the sum is the same however an epoch is cut.
            loss_of_steps = tf.concat([[loss_before], tf.cast(block.loss_of_step, tf.float64)], axis=0)
            keep_loss = tf.compat.v1.scatter_update(epoch_loss, epoch, tf.cumsum(loss_of_steps)[-1])
            moved = global_step.assign_add(tf.cast(block.steps, tf.int64))
            after = first_step + tf.cast(block.steps, tf.int64)
        else:
            lost = tf.reduce_sum(tf.cast(block.loss_of_step, tf.float64))
            keep_loss = tf.compat.v1.scatter_add(epoch_loss, epoch, lost)
            moved = after = global_step.assign_add(tf.cast(block.steps, tf.int64), read_value=True)
        train_op = tf.group(moved, keep_loss)
    images_in_block = tf.cast(block.examples, tf.float32)
    loss = tf.divide(tf.reduce_sum(block.loss_of_step), images_in_block, name=TRAIN_LOSS[:-2])
    tf.divide(block.correct, images_in_block, name=TRAIN_ACCURACY[:-2])
    finite = tf.cast(tf.math.is_finite(block.loss_of_step), tf.int32)
    good = tf.cast(tf.reduce_sum(tf.math.cumprod(finite)), tf.int64)
    tf.identity(after, name=TRAIN_STEP[:-2])
    tf.add(after - tf.cast(block.steps, tf.int64), good, name=LAST_GOOD_STEP[:-2])
    tf.identity(block.examples, name=TRAIN_IMAGES[:-2])
    tf.identity(block.learning_rate, name=LEARNING_RATE[:-2])
    replicas = strategies.replica().replicas
    if replicas > 1:
        requested = tf.compat.v1.placeholder_with_default(0.0, [], name=STOP_REQUESTED[:-2])
        step = tf.cast(first_step % 4096, tf.float32)  # so small that the sums are exact
        with tf.control_dependencies([block.correct]):  # one sum after the other, in the same order everywhere
            requests, steps = strategies.summed([tf.identity(requested), tf.identity(step)])
        tf.identity(requests, name=STOPS_REQUESTED[:-2])
        tf.equal(steps, step * replicas, name=SAME_STEP[:-2])
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
    sum_of_losses = tf.reduce_sum(losses.of_examples(experiment, labels, logits))
    loss = sum_of_losses * (batches / experiment.test_examples)
    return tf.estimator.EstimatorSpec(tf.estimator.ModeKeys.EVAL, loss=loss, eval_metric_ops=metrics)
