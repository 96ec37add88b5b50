"""The loss and the metrics of an evaluation."""

from typing import Any, Dict, Tuple

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model import losses


def of_split(
    experiment: Experiment, logits: tf.Tensor, labels: tf.Tensor
) -> Tuple[tf.Tensor, Dict[str, Tuple[Any, Any]]]:
    """Returns the loss of a batch, and the metrics "accuracy", "accuracy_of_class/<name>" and a user's own.

    The plain mean of that loss over any number of batches of any sizes is the mean loss of their examples.

    Args:
        experiment: Says the loss and the classes.
        logits: float32 [n, classes].
        labels: int32 [n].
    """
    correct = tf.cast(tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels), tf.float32)
    # One metric with a value for each class: a metric for each class costs as much as the evaluation itself.
    in_class = tf.reduce_sum(tf.one_hot(labels, experiment.classes), axis=0)
    correct_in_class = tf.reduce_sum(tf.one_hot(labels, experiment.classes) * correct[:, tf.newaxis], axis=0)
    accuracies = tf.math.divide_no_nan(correct_in_class, in_class)
    by_class, update_by_class = tf.compat.v1.metrics.mean_tensor(accuracies, weights=in_class)
    metrics = {"accuracy": tf.compat.v1.metrics.mean(correct)}
    for index, name in enumerate(experiment.class_names):
        metrics[f"accuracy_of_class/{name}"] = (by_class[index], update_by_class)
    metrics.update(_of_user(experiment, logits, labels))
    return _loss_to_average(losses.create(experiment).per_example(labels, logits)), metrics


def share_of_split_loss(experiment: Experiment, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns a batch's share of the mean loss of the experiment's split, float32 scalar.

    The plain mean over the split's batches, of eval_batch_size examples and a smaller last one, is the mean loss.

    Args:
        experiment: Says the loss and the size of the evaluated split.
        logits: float32 [n, classes].
        labels: int32 [n].
    """
    batches = -(-experiment.test_examples // experiment.eval_batch_size)
    sum_of_losses = tf.reduce_sum(losses.create(experiment).per_example(labels, logits))
    return sum_of_losses * (batches / experiment.test_examples)


def _loss_to_average(loss_of_example: tf.Tensor) -> tf.Tensor:
    """Returns a loss for the batch, float32 scalar, whose plain mean over the batches is the mean over the examples.

    Estimator takes the plain mean over batches, in which the examples of a smaller batch would count more. With m(b),
    the mean over all examples of the first b batches, the loss of batch b is b m(b) - (b - 1) m(b - 1). These add up to
    b m(b).
    """
    with tf.name_scope("mean_loss"):
        batch_sum = tf.reduce_sum(tf.cast(loss_of_example, tf.float64))
        batch_size = tf.cast(tf.size(loss_of_example), tf.float64)
        batches, examples, total = (
            _zero(name).assign_add(value, read_value=True)
            for name, value in (("batches", 1.0), ("examples", batch_size), ("sum", batch_sum))
        )
        after = batches * tf.math.divide_no_nan(total, examples)
        before = (batches - 1.0) * tf.math.divide_no_nan(total - batch_sum, examples - batch_size)
        return tf.cast(after - before, tf.float32)


def _zero(name: str) -> tf.Variable:
    """Returns a float64 counter, which each evaluation starts at 0, as those of tf.compat.v1.metrics."""
    collections = [tf.compat.v1.GraphKeys.LOCAL_VARIABLES, tf.compat.v1.GraphKeys.METRIC_VARIABLES]
    start = tf.zeros([], tf.float64)
    return tf.compat.v1.Variable(start, trainable=False, collections=collections, name=name, use_resource=True)


def _of_user(experiment: Experiment, logits: tf.Tensor, labels: tf.Tensor) -> Dict[str, Tuple[Any, Any]]:
    """Returns the metric of --metric by its name, if there is one.

    Raises:
        UserCodeError: The function raises an exception, or returns no streaming metric.
    """
    function = experiment.user_function("metric")
    if not function:
        return {}
    metric = function(labels, logits)
    if isinstance(metric, tf.keras.metrics.Metric):
        if not metric.updates:
            raise function.refuse("returned a Keras metric without values; call its update_state(labels, ...) first")
        for variable in metric.variables:
            tf.compat.v1.add_to_collection(tf.compat.v1.GraphKeys.LOCAL_VARIABLES, variable)
        with function.checked():
            metric = metric.result(), tf.group(*metric.updates)
    wrong = f"returned {type(metric).__name__}; it must return (value, update_op) as tf.compat.v1.metrics do"
    if not (isinstance(metric, tuple) and len(metric) == 2 and isinstance(metric[0], tf.Tensor)):
        raise function.refuse(wrong)
    value, update = metric
    if value.shape.rank not in (0, None) or not (value.dtype.is_floating or value.dtype.is_integer):
        raise function.refuse(f"returned a value of shape {value.shape} and {value.dtype.name}; it must be one number")
    return {function.name: (tf.cast(value, tf.float32), update)}
