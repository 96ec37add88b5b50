"""A Keras model as a network: bash run.sh --model examples/from_keras.py:convnet"""

import tensorflow as tf

from estimator_mnist.layers import from_keras


def convnet(experiment):
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            layers.Rescaling(1 / 255, input_shape=experiment.image_shape),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(experiment.classes, activation="softmax"),
        ]
    )
    return from_keras(model)
