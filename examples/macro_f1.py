"""The mean F1 score of the classes, in which rare ones count as much as frequent ones.

bash run.sh --metric examples/macro_f1.py:macro_f1 --best_metric macro_f1
"""

import tensorflow as tf


def macro_f1(labels, logits):
    classes = logits.shape[-1]
    actual = tf.one_hot(labels, classes)
    predicted = tf.one_hot(tf.argmax(logits, axis=-1), classes)
    counts = tf.stack([tf.reduce_sum(actual * predicted, axis=0), tf.reduce_sum(actual + predicted, axis=0)])
    # F1 is a ratio of counts, and so of their means over batches.
    means, update = tf.compat.v1.metrics.mean_tensor(counts)
    hits, members = tf.unstack(means)
    return tf.reduce_mean(tf.math.divide_no_nan(2.0 * hits, members)), update
