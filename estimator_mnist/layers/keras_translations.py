"""The layer that computes the same as a layer of Keras (tf.keras of TensorFlow 2.15), class by class.

`export.keras_layers` goes the other way.
"""

from typing import Any, Callable, Dict, Optional, Tuple

import tensorflow as tf

from estimator_mnist.layers.activations import ACTIVATIONS, Activation, ActivationFunction
from estimator_mnist.layers.base import Layer
from estimator_mnist.layers.convolution import Conv2D, DepthwiseConv2D, Pad2D
from estimator_mnist.layers.dropout import Dropout
from estimator_mnist.layers.fully_connected import Dense, Flatten
from estimator_mnist.layers.normalization import DECAY, EPSILON, BatchNorm, LayerNorm
from estimator_mnist.layers.pooling import GlobalAveragePool, Pool2D

# What to do about layers that have no translation, by how the name of their class begins.
HINTS = (
    ("Random", "augmentation is no part of a network; see --augment"),
    ("Center", "augmentation is no part of a network; see --augment"),
    ("Normalization", "networks take images in [0, 1]; a BatchNormalization in front learns the same"),
    ("Rescaling", "networks take images in [0, 1]; Rescaling(1/255) in front of all layers is left out"),
    ("Add", "it adds a constant"),
    ("Lambda", "write a subclass of estimator_mnist.layers.Layer"),
    ("TFOpLambda", "write a layer for this operation"),
    ("TensorFlowOpLayer", "write a layer for this operation"),
)
# TensorFlow's functions for some of Keras's activations, which exports know.
TENSORFLOW_ACTIVATIONS: Dict[str, ActivationFunction] = {
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "silu": tf.nn.silu,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
    "swish": tf.nn.silu,
}


class Untranslatable(Exception):
    """A layer has no translation. The text says why."""


def translated(layer: Any, name: str) -> Optional[Layer]:
    """Returns the translation of a Keras layer that merges nothing, None for the identity.

    Args:
        layer: Of Keras, with one input.
        name: Of the translation.

    Raises:
        Untranslatable: There is none.
    """
    kind = kind_of(layer)
    translate = TRANSLATIONS.get(kind)
    if translate is None:
        hint = next((f" ({hint})" for prefix, hint in HINTS if kind.startswith(prefix)), "")
        raise Untranslatable(f"there is no such layer here{hint}")
    check_settings(layer)
    return translate(layer, name)


def kind_of(layer: Any) -> str:
    """Returns the name of the class of a layer. Another module's has that in it, too: a subclass may compute anything.

    A sum that a model holds as an operation, x + y, is an Add.
    """
    kind = type(layer).__name__
    if getattr(layer, "symbol", "") in ("__operators__.add", "math.add") or _is_add(layer):
        return "Add"
    module = type(layer).__module__
    return kind if module.startswith("keras.") else f"{kind} of {module}"


def _is_add(layer: Any) -> bool:
    """Tells whether a layer is the op of x + y in a model that was built in a graph."""
    node_def = getattr(layer, "node_def", None)
    return node_def is not None and node_def.op in ("AddV2", "Add") and not layer.constants


def check_settings(layer: Any) -> None:
    """Checks what layers of all classes may have.

    Raises:
        Untranslatable: The layer is frozen or regularised, or computes in another precision.
    """
    extras = [
        name.lstrip("_")
        for name, value in vars(layer).items()
        if name.endswith(("_regularizer", "_constraint")) and name != "_captured_weight_regularizer" and value
    ]
    precision = getattr(layer, "compute_dtype", None) or "float32"
    _need(
        (not extras, f"it has {', '.join(extras)}; there are none here"),
        (layer.trainable, "it is frozen; all layers are trained here"),
        (precision == "float32" or not layer.weights, f"it computes in {precision}; it must be float32"),
        (
            getattr(layer, "data_format", "channels_last") == "channels_last",
            "data_format channels_first; it must be channels_last",
        ),
    )


def _need(*rules: Tuple[bool, str]) -> None:
    """Raises Untranslatable with the texts of those rules that do not hold."""
    broken = [text for holds, text in rules if not holds]
    if broken:
        raise Untranslatable("; ".join(broken))


def activation_of(layer: Any) -> Optional[ActivationFunction]:
    """Returns the activation function of a Keras layer, None for the identity."""
    function = layer.activation
    name = getattr(function, "__name__", "")
    if getattr(tf.keras.activations, name, None) is not function:
        return function  # a user's own
    return None if name == "linear" else {**ACTIVATIONS, **TENSORFLOW_ACTIVATIONS}.get(name, function)


def _one(sizes: Any) -> Optional[int]:
    """Returns the number that all sizes are, None if they differ."""
    first, *others = sizes
    return int(first) if all(size == first for size in others) else None


def _convolution(kind: Callable[..., Layer], layer: Any, name: str, *filters: int) -> Layer:
    size, strides = _one(layer.kernel_size), _one(layer.strides)
    _need(
        (size is not None, f"kernel_size {tuple(layer.kernel_size)}; kernels must be square"),
        (strides is not None, f"strides {tuple(layer.strides)}; they must be equal"),
        (_one([1, *layer.dilation_rate]) == 1, f"dilation_rate {tuple(layer.dilation_rate)}; it must be 1"),
        (layer.groups == 1, f"groups {layer.groups}; it must be 1"),
        (getattr(layer, "depth_multiplier", 1) == 1, "depth_multiplier; it must be 1"),
        (layer.padding in ("valid", "same"), f"padding {layer.padding}; it must be valid or same"),
    )
    padding, bias = layer.padding.upper(), bool(layer.use_bias)
    return kind(name, *filters, size, activation_of(layer), strides, padding, bias)


def _conv2d(layer: Any, name: str) -> Layer:
    return _convolution(Conv2D, layer, name, layer.filters)


def _depthwise(layer: Any, name: str) -> Layer:
    return _convolution(DepthwiseConv2D, layer, name)


def _dense(layer: Any, name: str) -> Layer:
    _need((layer.use_bias, "use_bias=False; a Dense has a bias here"))
    return Dense(name, layer.units, activation_of(layer))


def _pool(layer: Any, name: str) -> Layer:
    _need(
        (_one([2, *layer.pool_size]) == 2, f"pool_size {tuple(layer.pool_size)}; it must be 2"),
        (_one([2, *layer.strides]) == 2, f"strides {tuple(layer.strides)}; they must be 2"),
        (layer.padding == "valid", f"padding {layer.padding}; it must be valid"),
    )
    return Pool2D(name, "max" if kind_of(layer).startswith("Max") else "average")


def _global_average_pool(layer: Any, name: str) -> Layer:
    _need((not layer.keepdims, "keepdims=True; it must be False"))
    return GlobalAveragePool(name)


def _pad(layer: Any, name: str) -> Layer:
    margins = [margin for side in layer.padding for margin in side]
    margin = _one(margins)
    if margin is None:
        raise Untranslatable(f"padding {layer.padding}; all sides must get the same")
    return Pad2D(name, margin)


def _dropout(layer: Any, name: str) -> Layer:
    _need((layer.noise_shape is None, "noise_shape; there is none here"))
    return Dropout(name, layer.rate)


def _check_normalisation(layer: Any) -> None:
    axes = [layer.axis] if isinstance(layer.axis, int) else list(layer.axis)
    input_shape = getattr(layer, "input_shape", None)  # a built layer counts its axes from the first one
    is_last = axes == [-1] or (input_shape is not None and axes == [len(input_shape) - 1])
    _need(
        (is_last, f"axis {axes}; it must be the last one"),
        (abs(layer.epsilon - EPSILON) < 1e-9, f"epsilon {layer.epsilon:g}; it must be {EPSILON:g}"),
        (layer.center and layer.scale, "center and scale must be True"),
    )


def _batch_norm(layer: Any, name: str) -> Layer:
    _check_normalisation(layer)
    _need((abs(layer.momentum - DECAY) < 1e-9, f"momentum {layer.momentum:g}; it must be {DECAY:g}"))
    return BatchNorm(name)


def _layer_norm(layer: Any, name: str) -> Layer:
    _check_normalisation(layer)
    return LayerNorm(name)


def _activation(layer: Any, name: str) -> Optional[Layer]:
    function = activation_of(layer)
    return Activation(name, function) if function else None


def _relu(layer: Any, name: str) -> Layer:
    plain = not layer.negative_slope and not layer.threshold and layer.max_value in (None, 6.0)
    _need((plain, "max_value, negative_slope or threshold; it must be plain, or max_value 6"))
    return Activation(name, tf.nn.relu6 if layer.max_value else ACTIVATIONS["relu"])


def _softmax(layer: Any, name: str) -> Layer:
    _need((layer.axis == -1, f"axis {layer.axis}; it must be -1"))
    return Activation(name, tf.keras.activations.softmax)


def _reshape(layer: Any, name: str) -> Layer:
    _need((len(layer.target_shape) == 1, f"it makes {tuple(layer.target_shape)}; it must make vectors"))
    return Flatten(name)


TRANSLATIONS: Dict[str, Callable[[Any, str], Optional[Layer]]] = {
    "Activation": _activation,
    "AveragePooling2D": _pool,
    "BatchNormalization": _batch_norm,
    "Conv2D": _conv2d,
    "Dense": _dense,
    "DepthwiseConv2D": _depthwise,
    "Dropout": _dropout,
    "Flatten": lambda layer, name: Flatten(name),
    "GlobalAveragePooling2D": _global_average_pool,
    "InputLayer": lambda layer, name: None,
    "Identity": lambda layer, name: None,
    "LayerNormalization": _layer_norm,
    "MaxPooling2D": _pool,
    "ReLU": _relu,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "ZeroPadding2D": _pad,
}
