"""The activation functions, by name, and the layer that applies one."""

from dataclasses import dataclass
from typing import Callable, Dict, Optional

import tensorflow as tf

from estimator_mnist.layers.base import Layer

ActivationFunction = Callable[[tf.Tensor], tf.Tensor]  # elementwise, float32 [batch, ...]

relu = tf.nn.relu
sigmoid = tf.sigmoid
tanh = tf.tanh
gelu = tf.nn.gelu  # the exact form, x times the standard normal distribution function (arXiv 1606.08415)


def scaled_tanh(x: tf.Tensor) -> tf.Tensor:
    """1.7159 tanh(2x/3), so that f(1) = 1 and f(-1) = -1 (LeCun et al. 1998, appendix A)."""
    return 1.7159 * tf.tanh(x * (2.0 / 3.0))


# Exports translate these by name. Layers also accept any other function, which formats written from the graph export.
ACTIVATIONS: Dict[str, ActivationFunction] = {
    "relu": relu,
    "sigmoid": sigmoid,
    "tanh": tanh,
    "gelu": gelu,
    "scaled_tanh": scaled_tanh,
}


def activation_name(function: ActivationFunction) -> Optional[str]:
    """Returns the name of a function in ACTIVATIONS, None for any other function."""
    return next((name for name, known in ACTIVATIONS.items() if known is function), None)


@dataclass(frozen=True)
class Activation(Layer):
    """An activation function as a layer."""

    activation: ActivationFunction

    def __call__(self, x, weights, mask):
        return [self.activation(part) for part in x]
