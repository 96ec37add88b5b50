"""The record of a network that a user's file defines: FILE.py:FUNCTION, a function of the Experiment."""

from typing import Any, List

from estimator_mnist import user_code
from estimator_mnist.architectures.architecture import Architecture
from estimator_mnist.architectures.recipes import GENERIC


def record(reference: str) -> Architecture:
    """Returns the record of a user's network. It runs none of the user's code."""

    def layers(experiment: Any) -> List[Any]:
        import tensorflow as tf

        # Its own graph: what the user's code creates, such as the variables of a Keras model, is in no other one.
        with tf.Graph().as_default():
            function = user_code.function(reference, experiment.user_code, "--model")
            return _checked(function, function(experiment))

    return Architecture(name=reference, layers=layers, recipes=GENERIC)


def _checked(function: user_code.UserFunction, value: Any) -> List[Any]:
    """Returns the value of a user's function as layers.

    Raises:
        UserCodeError: It is no list of layers.
    """
    from estimator_mnist.layers import Layer

    if not isinstance(value, (list, tuple)):
        raise function.refuse(f"returned {type(value).__name__}; it must return a list of layers")
    for item in value:
        if not isinstance(item, Layer):
            raise function.refuse(f"returned a list with {type(item).__name__}; each item must be a layer")
    return list(value)
