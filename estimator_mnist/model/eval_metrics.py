"""The loss and the metrics of an evaluation."""

from typing import Any, Dict, Tuple

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model import losses


def of_split(
    experiment: Experiment, logits: tf.Tensor, labels: tf.Tensor
) -> Tuple[tf.Tensor, Dict[str, Tuple[Any, Any]]]:
    """Returns the loss of a batch, and the metrics "accuracy" and "accuracy_of_class/<name>".

    Args:
        experiment: Says the loss, the classes and the size of the evaluated split.
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
    # Estimator takes the plain mean of this over the batches. It is scaled so that every example counts the same, also
    # those of a smaller last batch.
    batches = -(-experiment.test_examples // experiment.eval_batch_size)
    sum_of_losses = tf.reduce_sum(losses.create(experiment).per_example(labels, logits))
    return sum_of_losses * (batches / experiment.test_examples), metrics
