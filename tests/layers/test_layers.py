"""Each layer against its definition, in NumPy, and the initial values of its weights."""

import math

import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist import layers
from estimator_mnist.layers import activations
from estimator_mnist.layers.network import Network
from input_fns import InputError

RNG = np.random.default_rng(0)
X = RNG.normal(1, 2, (3, 7, 6, 4)).astype(np.float32)


def computed(layer, x=X, weights=None):
    """Returns the output of a layer, and checks that it has the shape that the layer says."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        values = {name: [tf.constant(value)] for name, value in (weights or {}).items()}
        (output,) = layer([tf.constant(x)], values, None)
        found = session.run(output)
    assert found.shape == (len(x), *layer.output_shape(x.shape[1:])) and found.dtype == np.float32
    return found


def drawn(layer, shape=X.shape[1:]):
    """Returns some weights of the shapes that a layer asks for."""
    return {name: RNG.normal(size=weight.shape).astype(np.float32) for name, weight in layer.weights(shape).items()}


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [1, 2])
def test_a_depthwise_convolution_keeps_channels_apart(padding, strides):
    layer = layers.DepthwiseConv2D("layer", 3, layers.relu, strides, padding)
    weights = drawn(layer)
    assert {name: value.shape for name, value in weights.items()} == {"kernel": (3, 3, 4, 1), "bias": (4,)}
    found = computed(layer, weights=weights)
    for channel in range(4):
        one = layers.Conv2D("layer", 1, 3, layers.relu, strides, padding)
        kernel, bias = weights["kernel"][:, :, channel : channel + 1], weights["bias"][channel : channel + 1]
        expected = computed(one, X[..., channel : channel + 1], {"kernel": kernel, "bias": bias})
        assert np.allclose(found[..., channel], expected[..., 0], atol=1e-4)


def test_a_convolution_without_a_bias_has_none():
    for layer in (layers.Conv2D("layer", 2, 3, bias=False), layers.DepthwiseConv2D("layer", 3, bias=False)):
        assert set(layer.weights(X.shape[1:])) == {"kernel"}
        computed(layer, weights=drawn(layer))


def test_layer_normalisation_goes_by_the_last_axis():
    layer = layers.LayerNorm("layer", layers.relu)
    for x in (X, X[:, 0, 0]):
        weights = drawn(layer, x.shape[1:])
        normalised = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3)
        expected = np.maximum(normalised * weights["gamma"] + weights["beta"], 0)
        assert np.allclose(computed(layer, x, weights), expected, atol=1e-5)


def test_pooling():
    maximum, mean = computed(layers.Pool2D("layer")), computed(layers.Pool2D("layer", "average"))
    windows = X[:, :6].reshape(3, 3, 2, 3, 2, 4)
    assert np.array_equal(maximum, windows.max((2, 4))) and np.allclose(mean, windows.mean((2, 4)), atol=1e-6)
    assert np.allclose(computed(layers.GlobalAveragePool("layer")), X.mean((1, 2)), atol=1e-6)


def test_activations():
    functions = {
        "relu": lambda x: np.maximum(x, 0),
        "tanh": np.tanh,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "gelu": lambda x: x * np.vectorize(lambda value: 0.5 * (1 + math.erf(value / math.sqrt(2))))(x),
        "scaled_tanh": lambda x: 1.7159 * np.tanh(2 * x / 3),
    }
    assert functions.keys() == activations.ACTIVATIONS.keys()
    for name, function in functions.items():
        layer = layers.Activation("layer", activations.ACTIVATIONS[name])
        assert np.allclose(computed(layer), function(X), atol=1e-5), name
        assert activations.activation_name(layer.activation) == name
    assert activations.activation_name(tf.nn.elu) is None


@pytest.mark.parametrize(
    "layer, fan_in, fan_out",
    [
        (layers.Dense("layer", 50), 40, 50),
        (layers.Conv2D("layer", 8, 5), 25 * 16, 25 * 8),
        (layers.DepthwiseConv2D("layer", 5), 25, 25),  # a unit sees its own channel alone
    ],
    ids=lambda value: type(value).__name__,
)
def test_kernels_are_drawn_within_glorot_s_limit(layer, fan_in, fan_out):
    shape = (40,) if layer.input_rank == 1 else (12, 12, 16)
    behind = [] if layer.input_rank == 1 else [layers.GlobalAveragePool("mean")]
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = Network([layer, *behind], shape)
        network.build(0)
        session.run(tf.compat.v1.global_variables_initializer())
        kernel, bias = (session.run(network.variables["layer", name].parts[0]) for name in ("kernel", "bias"))
    limit = math.sqrt(6 / (fan_in + fan_out))
    assert 0.95 * limit < np.abs(kernel).max() <= limit and abs(kernel.mean()) < 0.1 * limit
    assert not bias.any()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: layers.Conv2D("c1", 8, 3, padding="same"), "layer c1: padding 'same' is not possible"),
        (lambda: layers.DepthwiseConv2D("c1", 3, padding="FULL"), "layer c1: padding 'FULL' is not possible"),
        (lambda: layers.Pool2D("p1", "mean"), "layer p1: pooling by 'mean' is not possible"),
        (lambda: layers.Dense(10, 10), "layer 10: the first argument is the layer's name"),
        (lambda: layers.Dense("d1", 3.5), "layer d1: units 3.5 is not possible; it must be a whole number from 1 on"),
        (lambda: layers.Conv2D("c1", 8, 3, strides=0), "layer c1: strides 0 is not possible"),
        (lambda: layers.Conv2D("c1", 8, (3, 3)), r"layer c1: size \(3, 3\) is not possible"),
        (lambda: layers.Pad2D("p1", -1), "layer p1: margin -1 is not possible; it must be a whole number from 0 on"),
        (lambda: layers.Dense("d1", 8, "relu"), "layer d1: activation 'relu' is not possible; it must be a function"),
        (lambda: layers.Dropout("d1", 1.0), "layer d1: rate 1.0 is not possible; it must be a number of 0 or more"),
        (lambda: layers.Dropout("d1", 50), "layer d1: rate 50 is not possible"),
    ],
)
def test_settings_that_do_not_exist_are_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
