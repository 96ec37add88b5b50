"""An Estimator in the style of the examples of its time: TFDS pipeline, tf.compat.v1 layers and optimizer."""

import tempfile
import time
from typing import Any, List

import tensorflow as tf
import tensorflow_datasets as tfds

from benchmarks.peers.task import DROPOUT, LEARNING_RATE, from_command_line, report

task = from_command_line()
tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.FATAL)


def input_fn() -> tf.data.Dataset:
    dataset = tfds.load("mnist", split="train", as_supervised=True)
    dataset = dataset.map(lambda image, label: (tf.cast(image, tf.float32) / 255.0, label), tf.data.AUTOTUNE)
    return dataset.cache().shuffle(1024).repeat().batch(task.batch_size).prefetch(tf.data.AUTOTUNE)


def model_fn(features: tf.Tensor, labels: tf.Tensor, mode: str) -> Any:
    layers, x = tf.compat.v1.layers, features
    if task.model == "conv":
        x = layers.max_pooling2d(layers.conv2d(x, 64, 5, activation=tf.nn.relu), 2, 2)
        x = layers.max_pooling2d(layers.conv2d(x, 96, 3, activation=tf.nn.relu), 2, 2)
    x = layers.dense(layers.flatten(x), 128, tf.nn.relu)
    logits = layers.dense(layers.dropout(x, DROPOUT, training=True), 10)
    loss = tf.compat.v1.losses.sparse_softmax_cross_entropy(labels, logits)
    optimizer = tf.compat.v1.train.AdamOptimizer(LEARNING_RATE)
    train_op = optimizer.minimize(loss, tf.compat.v1.train.get_global_step())
    return tf.estimator.EstimatorSpec(mode, loss=loss, train_op=train_op)


class Clock(tf.estimator.SessionRunHook):
    def __init__(self) -> None:
        self.times: List[float] = []

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self.times.append(time.perf_counter())


clock = Clock()
with tempfile.TemporaryDirectory() as scratch:
    estimator = tf.estimator.Estimator(model_fn, scratch)
    estimator.train(input_fn, hooks=[clock], steps=task.warm_up + task.steps)
report(task.steps * task.batch_size / (clock.times[-1] - clock.times[task.warm_up - 1]))
