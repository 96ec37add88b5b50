"""What networks are made of: layers, their variables, and the network that composes them."""

import tensorflow as tf

from estimator_mnist.layers.batch_norm import BatchNorm
from estimator_mnist.layers.layers import Conv2D, Dense, Dropout, Flatten, Layer, Pad2D, Pool2D, Weight, scaled_tanh

relu = tf.nn.relu

__all__ = [
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "Pad2D",
    "Pool2D",
    "Weight",
    "relu",
    "scaled_tanh",
]
