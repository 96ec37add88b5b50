"""The complete job as Keras's tutorial does it (https://www.tensorflow.org/datasets/keras_example), in one script.

    python -I estimator_mnist/system/run_module.py benchmarks.peers.keras_job MODEL SEED EPOCHS ACCURACY

With ACCURACY 0: `fit` for EPOCHS, then `evaluate` once. Otherwise `evaluate` after every epoch until the test accuracy
reaches ACCURACY, at most EPOCHS times. Prints one line of JSON with a value for each evaluation, of which "at" is
time.time(): {"test_accuracy": [...], "at": [...]}.
"""

import json
import sys
import time

import tensorflow as tf
import tensorflow_datasets as tfds

from benchmarks.peers.keras_network import create
from benchmarks.peers.task import LEARNING_RATE, SIZES

name, seed, epochs, target_accuracy = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
batch_size = SIZES[name][0]
tf.keras.utils.set_random_seed(seed)


def scale(image: tf.Tensor, label: tf.Tensor) -> "tuple[tf.Tensor, tf.Tensor]":
    return tf.cast(image, tf.float32) / 255.0, label


(train, test), info = tfds.load(
    "mnist", split=["train", "test"], shuffle_files=True, as_supervised=True, with_info=True, download=False
)
train = train.map(scale, num_parallel_calls=tf.data.AUTOTUNE).cache()
train = train.shuffle(info.splits["train"].num_examples).batch(batch_size).prefetch(tf.data.AUTOTUNE)
test = test.map(scale, num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size).cache().prefetch(tf.data.AUTOTUNE)

model = create(name)
loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(tf.keras.optimizers.Adam(LEARNING_RATE), loss, metrics=["accuracy"])
accuracies, at = [], []
for _ in range(epochs if target_accuracy else 1):
    model.fit(train, epochs=1 if target_accuracy else epochs, verbose=0)
    accuracies.append(model.evaluate(test, verbose=0)[1])
    at.append(time.time())
    if target_accuracy and accuracies[-1] >= target_accuracy:
        break
print(json.dumps({"test_accuracy": accuracies, "at": at}), flush=True)
