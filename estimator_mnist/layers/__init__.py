"""What networks are made of: layers, their variables, and the network that composes them."""

from estimator_mnist.layers.activations import Activation, gelu, relu, scaled_tanh, sigmoid, tanh
from estimator_mnist.layers.base import Layer, Weight
from estimator_mnist.layers.convolution import Conv2D, Pad2D
from estimator_mnist.layers.dropout import Dropout
from estimator_mnist.layers.fully_connected import Dense, Flatten
from estimator_mnist.layers.normalization import BatchNorm
from estimator_mnist.layers.pooling import Pool2D

__all__ = [
    "Activation",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "Layer",
    "Pad2D",
    "Pool2D",
    "Weight",
    "gelu",
    "relu",
    "scaled_tanh",
    "sigmoid",
    "tanh",
]
