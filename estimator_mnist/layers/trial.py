"""Tries the layers of a network in a graph: those of a user's own may compute anything."""

from typing import Any

import tensorflow as tf

from estimator_mnist.layers.base import Layer
from estimator_mnist.layers.branches import Branched
from estimator_mnist.layers.network import Network
from estimator_mnist.layers.variables import Shape
from estimator_mnist.user_code import with_place
from input_fns import InputError


def check_outputs(network: Network) -> None:
    """Computes each layer in the current graph.

    Args:
        network: With its variables, in this graph.

    Raises:
        InputError: A layer raises an exception, creates variables, or returns something else than float32 of the shape
            that its `output_shape` says.
    """
    for layer, shape in network.walk():
        if isinstance(layer, Branched):
            continue
        variables = _variables()
        output = _output(layer, shape, network)
        if not isinstance(output, tf.Tensor):
            raise InputError(f"layer {layer.name}: compute returned {type(output).__name__}; it must return a tensor")
        expected = (None, *layer.output_shape(shape))
        if output.dtype != tf.float32 or not output.shape.is_compatible_with(expected):
            found = f"{output.dtype.name} of shape {output.shape}"
            raise InputError(
                f"layer {layer.name}: compute returned {found} for float32 of shape {(None, *shape)}; "
                f"by its output_shape it must return float32 of shape {expected}"
            )
        if _variables() > variables:
            raise InputError(f"layer {layer.name}: compute created a variable; say in weights what is trained")


def check_gradients(network: Network, logits: tf.Tensor) -> None:
    """Checks that the logits depend on each trained weight.

    Raises:
        InputError: No gradient reaches a weight.
    """
    trained = [(key, part) for key in network.trained() for part in network.variables[key].parts]
    try:
        with with_place(""):
            gradients = tf.gradients(logits, [part for _, part in trained])
    except LookupError as error:  # an operation that has no gradient
        raise InputError(f"the network cannot be trained: {error}") from error
    for ((layer, weight), _), gradient in zip(trained, gradients):
        if gradient is None:
            raise InputError(
                f"layer {layer}: no gradient reaches its weight {weight}; the logits must depend on it, by operations "
                "that have gradients"
            )


def _output(layer: Layer, shape: Shape, network: Network) -> Any:
    x = tf.compat.v1.placeholder(tf.float32, [None, *shape])
    weights = {name: network.variables[layer.name, name].parts for name in layer.weights(shape)}
    values = {name: [part.read_value() for part in parts] for name, parts in weights.items()}
    try:
        with with_place(f"layer {layer.name}: "):
            (output,) = layer([x], values, None)
    except NotImplementedError as error:
        raise InputError(f"layer {layer.name}: {type(layer).__name__} has no method compute") from error
    return output


def _variables() -> int:
    """Returns how many variables the current graph has, also those that no collection of it names."""
    operations = tf.compat.v1.get_default_graph().get_operations()
    return sum(operation.type in ("VarHandleOp", "VariableV2") for operation in operations)
