"""What networks are made of: layers, their variables, and the network that composes them."""

from estimator_mnist.layers import quiet_import  # noqa: F401  before all that imports TensorFlow
from estimator_mnist.layers.activations import Activation, gelu, relu, scaled_tanh, sigmoid, tanh
from estimator_mnist.layers.base import Layer, Weight
from estimator_mnist.layers.branches import Parallel, Residual
from estimator_mnist.layers.convolution import Conv2D, DepthwiseConv2D, Pad2D
from estimator_mnist.layers.dropout import Dropout
from estimator_mnist.layers.from_keras import from_keras
from estimator_mnist.layers.fully_connected import Dense, Flatten
from estimator_mnist.layers.normalization import BatchNorm, LayerNorm
from estimator_mnist.layers.pooling import GlobalAveragePool, Pool2D

__all__ = [
    "Activation",
    "BatchNorm",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "Layer",
    "LayerNorm",
    "Pad2D",
    "Parallel",
    "Pool2D",
    "Residual",
    "Weight",
    "from_keras",
    "gelu",
    "relu",
    "scaled_tanh",
    "sigmoid",
    "tanh",
]
