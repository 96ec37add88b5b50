"""The networks of the task in Keras."""

import tensorflow as tf

from benchmarks.peers.task import DROPOUT

layers = tf.keras.layers


def create(model: str) -> tf.keras.Sequential:
    """Returns the network "dense" or "conv", not compiled."""
    if model == "dense":
        body = [layers.Flatten(input_shape=(28, 28, 1))]
    else:
        body = [
            layers.Conv2D(64, 5, activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPool2D(),
            layers.Conv2D(96, 3, activation="relu"),
            layers.MaxPool2D(),
            layers.Flatten(),
        ]
    return tf.keras.Sequential([*body, layers.Dense(128, "relu"), layers.Dropout(DROPOUT), layers.Dense(10)])
