"""Keras's `fit` on TensorFlow 2.15: "plain", the pipeline of the tutorials, or "best", its fastest settings."""

import os
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from benchmarks.peers.keras_network import create
from benchmarks.peers.task import LEARNING_RATE, from_command_line, images_and_labels, measure

task = from_command_line()
model = create(task.model)
steps_per_execution = {"plain": 1, "best": 50 if task.model == "dense" else 15}[task.variant.split("_")[0]]
model.compile(
    tf.keras.optimizers.Adam(LEARNING_RATE),
    tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    ["accuracy"],
    steps_per_execution=steps_per_execution,
    jit_compile=task.variant.endswith("_jit"),
)


def scale(image: tf.Tensor, label: tf.Tensor) -> Any:
    return tf.cast(image, tf.float32) / 255.0, label


if task.variant == "plain" and "TFDS_DATA_DIR" in os.environ:
    dataset = tfds.load("mnist", split="train", as_supervised=True, shuffle_files=True)
    dataset = dataset.map(scale, tf.data.AUTOTUNE).shuffle(1024).repeat().batch(task.batch_size)
else:
    dataset = tf.data.Dataset.from_tensor_slices(images_and_labels(task))
    dataset = dataset.cache().shuffle(1024).repeat().batch(task.batch_size, drop_remainder=True)
batches = iter(dataset.prefetch(tf.data.AUTOTUNE))
measure(task, lambda steps: model.fit(batches, steps_per_epoch=steps, verbose=0))
