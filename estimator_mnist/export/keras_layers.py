"""Each layer as Keras's own layers that compute the same, so that a .keras file needs no code of this project.

A network becomes a tree of JSON values, which `keras3` builds. A node is

    {"layer": class in keras.layers, "arguments": of the class, "weights": path of the layer whose weights it has}

and a node that merges branches also has {"branches": [a list of nodes for each]}. Keras's names hold no "/". A path
"block/conv" becomes "block.conv", and the activation behind it "block.conv-relu". No name of a layer has "." or "-".
"""

from typing import Any, Callable, Dict, List, Optional, Type

import tensorflow as tf

from estimator_mnist.layers import activations
from estimator_mnist.layers.activations import Activation, ActivationFunction
from estimator_mnist.layers.base import Layer
from estimator_mnist.layers.branches import Branched, Chain, Parallel, Residual
from estimator_mnist.layers.convolution import Conv2D, DepthwiseConv2D, Pad2D
from estimator_mnist.layers.dropout import Dropout
from estimator_mnist.layers.fully_connected import Dense, Flatten
from estimator_mnist.layers.network import Network
from estimator_mnist.layers.normalization import EPSILON, BatchNorm, LayerNorm
from estimator_mnist.layers.pooling import GlobalAveragePool, Pool2D
from estimator_mnist.system.errors import RunError

Node = Dict[str, Any]
KERAS_ACTIVATIONS = ("relu", "sigmoid", "tanh", "gelu")  # whose names and formulas are also Keras's
# Functions that users take from TensorFlow, and Keras's names of the same formulas.
TENSORFLOW_ACTIVATIONS: Dict[ActivationFunction, str] = {
    tf.nn.elu: "elu",
    tf.nn.leaky_relu: "leaky_relu",
    tf.nn.relu6: "relu6",
    tf.nn.selu: "selu",
    tf.nn.silu: "silu",
    tf.nn.softplus: "softplus",
    tf.nn.softsign: "softsign",
}


def tree(network: Network) -> Dict[str, Any]:
    """Returns a network as JSON values: {"image_shape": [height, width, channels], "layers": nodes}.

    Raises:
        RunError: It has a layer or an activation that Keras does not have.
    """
    return {"image_shape": list(network.image_shape), "layers": _nodes(network.layers)}


def _nodes(chain: Chain) -> List[Node]:
    return [node for layer in chain for node in [_node(layer), *_activation(layer)]]


def _node(layer: Layer) -> Node:
    # By the class itself: a subclass may compute anything.
    translate = TRANSLATIONS.get(type(layer))
    if translate is None:
        raise RunError(f"--formats keras: Keras has no layer like {layer.name} ({type(layer).__name__})")
    node = translate(layer)
    node["arguments"]["name"] = _keras_name(layer)
    node["weights"] = layer.name
    if isinstance(layer, Branched):
        node["branches"] = [_nodes(chain) for chain in layer.chains]
    return node


def _activation(layer: Layer) -> List[Node]:
    """Returns the nodes of the activation behind a layer; none if it has none."""
    function: Optional[ActivationFunction] = getattr(layer, "activation", None)
    if function is None:
        return []
    name = TENSORFLOW_ACTIVATIONS.get(function) or activations.activation_name(function)
    if name in (*KERAS_ACTIVATIONS, *TENSORFLOW_ACTIVATIONS.values()):
        return [_keras("Activation", activation=name, name=f"{_keras_name(layer)}-{name}")]
    if name == "scaled_tanh":
        return [
            _keras("Rescaling", scale=2.0 / 3.0, name=f"{_keras_name(layer)}-scale_in"),
            _keras("Activation", activation="tanh", name=f"{_keras_name(layer)}-tanh"),
            _keras("Rescaling", scale=1.7159, name=f"{_keras_name(layer)}-scale_out"),
        ]
    known = ", ".join([*activations.ACTIVATIONS, *TENSORFLOW_ACTIVATIONS.values()])
    raise RunError(f"--formats keras: the activation of {layer.name} cannot be written; those that can are {known}")


def _keras_name(layer: Layer) -> str:
    return layer.name.replace("/", ".")


def _keras(kind: str, **arguments: Any) -> Node:
    return {"layer": kind, "arguments": arguments}


def _convolution(kind: str, layer: Any, **arguments: Any) -> Node:
    shared = {"kernel_size": layer.size, "strides": layer.strides, "padding": layer.padding.lower()}
    return _keras(kind, **shared, use_bias=layer.bias, **arguments)


# The translation of each class without its name, branches and activation. A layer that is nothing but an activation is
# the identity before it.
TRANSLATIONS: Dict[Type[Layer], Callable[[Any], Node]] = {
    Activation: lambda layer: _keras("Identity"),
    BatchNorm: lambda layer: _keras("BatchNormalization", epsilon=EPSILON),
    Conv2D: lambda layer: _convolution("Conv2D", layer, filters=layer.filters),
    Dense: lambda layer: _keras("Dense", units=layer.units),
    DepthwiseConv2D: lambda layer: _convolution("DepthwiseConv2D", layer),
    Dropout: lambda layer: _keras("Dropout", rate=layer.rate),
    Flatten: lambda layer: _keras("Flatten"),
    GlobalAveragePool: lambda layer: _keras("GlobalAveragePooling2D"),
    LayerNorm: lambda layer: _keras("LayerNormalization", epsilon=EPSILON),
    Pad2D: lambda layer: _keras("ZeroPadding2D", padding=layer.margin),
    Parallel: lambda layer: _keras("Concatenate", axis=-1),
    Pool2D: lambda layer: _keras("MaxPooling2D" if layer.kind == "max" else "AveragePooling2D", pool_size=2),
    Residual: lambda layer: _keras("Add"),
}
