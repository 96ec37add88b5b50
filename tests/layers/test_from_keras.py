"""Keras models as layers: equal outputs, there and back, and what cannot be translated."""

import branched_network
import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist import layers as of
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.export import keras_layers
from estimator_mnist.layers import from_keras
from estimator_mnist.layers.activations import activation_name
from estimator_mnist.layers.network import Network
from input_fns import InputError

keras = tf.keras
kl = tf.keras.layers


def small_resnet():
    """A functional model with what a user's has: names of Keras's choice, an operation, forks in a fork, a softmax."""
    image = keras.Input((28, 28, 1))
    x = kl.Rescaling(1 / 255)(image)
    x = kl.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    x = stem = kl.ReLU()(kl.BatchNormalization()(x))
    x = kl.DepthwiseConv2D(3, padding="same", activation="gelu")(x)
    x = kl.LayerNormalization()(kl.Conv2D(8, 1, activation=tf.nn.elu)(x))
    x = kl.Activation("relu")(kl.Add()([x, stem])) + stem
    tower = kl.Conv2D(4, 3)(kl.ZeroPadding2D(1)(x))
    inner = kl.Dropout(0.3)(x)
    tower2 = kl.Add()([kl.Conv2D(8, 3, padding="same", activation="tanh")(inner), inner])
    x = kl.Concatenate()([tower, x, tower2])
    x = kl.MaxPooling2D()(x)
    mean, flat = kl.GlobalAveragePooling2D()(x), kl.Flatten()(kl.AveragePooling2D()(x))
    return keras.Model(image, kl.Dense(10, activation="softmax")(kl.Concatenate()([mean, flat])))


def sequential():
    return keras.Sequential(
        [
            kl.Reshape((28, 28, 1), input_shape=(28, 28)),
            keras.Sequential([kl.Rescaling(1.0 / 255)], name="preparation"),
            kl.Conv2D(6, 5, activation="sigmoid", padding="same"),
            kl.AveragePooling2D(2, 2),
            kl.Identity(),
            keras.Sequential([kl.Conv2D(9, 5, activation=tf.nn.relu), kl.MaxPooling2D((2, 2)), kl.ReLU(6.0)]),
            kl.Flatten(),
            kl.Dense(20, activation="selu"),
            kl.Dense(10),
            kl.Softmax(),
        ]
    )


def of_vectors():
    return keras.Sequential([kl.Dense(12, activation="relu", input_shape=(784,)), kl.Dense(10)])


def names(layers):
    return [layer.name for layer, _ in Network(layers, (28, 28, 1)).walk()]


def outputs_of_both(model, scale):
    """Returns the output of a Keras model with random weights, and the logits of its translation with the same.

    Args:
        model: Its layers get other names.
        scale: Of the images that the model takes. Networks take them in [0, 1].
    """
    for number, layer in enumerate(flattened(model)):
        layer._name = f"layer{number}"  # each, so that the translation says which layer became which
    random = np.random.default_rng(0)
    images = random.random((4, *model.input_shape[1:]), np.float32)
    model.set_weights([random.uniform(0.1, 1.0, value.shape) - 0.5 * (value.ndim > 1) for value in model.get_weights()])
    sources = {layer.name: layer for layer in flattened(model) if layer.weights}
    network, values = Network(from_keras(model), (28, 28, 1), classes=10), {}
    for layer, shape in network.walk():
        weights = layer.weights(shape)
        if weights:
            source = sources.pop(layer.name.rpartition("/")[2])
            held = {weight.name.rpartition("/")[2].partition(":")[0]: weight for weight in source.weights}
            held = {name.replace("depthwise_kernel", "kernel"): weight for name, weight in held.items()}
            assert {name: tuple(weight.shape) for name, weight in held.items()} == {
                name: weight.shape for name, weight in weights.items()
            }
            values.update({(layer.name, name): [tf.constant(weight.numpy())] for name, weight in held.items()})
    assert not sources
    return np.asarray(model(images * scale)), network(tf.constant(images), values=values).numpy()


def flattened(model):
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from flattened(layer)
        else:
            yield layer


@pytest.mark.parametrize("make, scale", [(small_resnet, 255.0), (sequential, 255.0), (of_vectors, 1.0)])
def test_a_network_computes_what_its_keras_model_computes(make, scale):
    outputs, logits = outputs_of_both(make(), scale)
    assert logits.std() > 0.01
    ends_in_softmax = np.allclose(outputs.sum(axis=-1), 1.0, atol=1e-5)
    assert ends_in_softmax == (make is not of_vectors)
    expected = tf.nn.softmax(logits).numpy() if ends_in_softmax else logits
    np.testing.assert_allclose(expected, outputs, rtol=1e-4, atol=1e-5)


def test_names_do_not_depend_on_the_models_made_before():
    first, second = names(from_keras(small_resnet())), names(from_keras(small_resnet()))
    assert first == second and "add_1" in first and "concatenate/conv2d_2" in first


def test_names_of_the_user_are_kept_as_far_as_they_can_be():
    layers = [
        kl.Conv2D(2, 3, name="stem.conv/1", input_shape=(28, 28, 1)),
        kl.Flatten(name="."),
        kl.Dense(10, name="out"),
    ]
    assert names(from_keras(keras.Sequential(layers))) == ["stem_conv_1", "flatten", "out"]


@pytest.mark.parametrize("name", ["elu", "selu", "swish", "softplus", "softsign", "gelu", "hard_sigmoid", "mish"])
def test_an_activation_of_keras_is_the_same_function(name):
    dense = from_keras(keras.Sequential([kl.Flatten(), kl.Dense(10, activation=name)]))[-1]
    x = tf.constant(np.linspace(-4, 4, 50), tf.float32)
    np.testing.assert_allclose(dense.activation(x), getattr(keras.activations, name)(x), rtol=1e-6, atol=1e-7)
    known = keras_layers.TENSORFLOW_ACTIVATIONS.get(dense.activation) or activation_name(dense.activation)
    assert known == {"swish": "silu", "hard_sigmoid": None, "mish": None}.get(name, name)


def test_a_sequential_without_an_input_shape_is_translated():
    chain = from_keras(keras.Sequential([kl.Conv2D(4, 3, 2, "same"), kl.Flatten(), kl.Dense(10, activation="softmax")]))
    assert chain == [of.Conv2D("conv2d", 4, 3, None, 2, "SAME"), of.Flatten("flatten"), of.Dense("dense", 10)]


def test_a_network_that_went_to_keras_comes_back(monkeypatch):
    experiment = branched_network.experiment(monkeypatch)
    chain = [plain(layer) for layer in experiment.architecture.layers(experiment)]
    tree = keras_layers.tree(Network(chain, experiment.image_shape))
    image = keras.Input(tree["image_shape"])
    model = keras.Model(image, built(tree["layers"], image))
    back = keras_layers.tree(Network(from_keras(model), experiment.image_shape))
    assert [*bare(back["layers"])] == [*bare(tree["layers"])]


def plain(layer):
    """Returns a layer without scaled_tanh, which three layers of Keras make up."""
    chains = getattr(layer, "chains", None)
    if chains is not None:
        return layer.with_chains([[plain(inner) for inner in chain] for chain in chains])
    return (
        layer
        if getattr(layer, "activation", None) is not of.scaled_tanh
        else type(layer)(**{**vars(layer), "activation": of.relu})
    )


def built(nodes, x):
    """Returns what `keras3.build` returns, in Keras 2."""
    for node in nodes:
        layer = getattr(kl, node["layer"])(**node["arguments"])
        x = layer([built(branch, x) for branch in node["branches"]] if "branches" in node else x)
    return x


def bare(nodes):
    """Yields nodes without names and identities, the shorter branch of a sum last."""
    for node in nodes:
        arguments = {key: value for key, value in node["arguments"].items() if key != "name"}
        branches = [[*bare(branch)] for branch in node.get("branches", ())]
        if node["layer"] != "Identity":
            yield node["layer"], arguments, sorted(branches, key=len) if node["layer"] == "Add" else branches


def chain(*layers):
    return keras.Sequential([keras.Input((28, 28, 1)), *layers, kl.Flatten(), kl.Dense(10)])


class Mine(kl.Dense):
    pass


@pytest.mark.parametrize(
    "layer, words",
    [
        (kl.Conv2D(2, (3, 5)), "Conv2D: kernel_size (3, 5); kernels must be square"),
        (kl.Conv2D(2, 3, strides=(1, 2)), "Conv2D: strides (1, 2); they must be equal"),
        (kl.Conv2D(2, 3, dilation_rate=2), "Conv2D: dilation_rate (2, 2); it must be 1"),
        (kl.DepthwiseConv2D(3, depth_multiplier=2), "DepthwiseConv2D: depth_multiplier; it must be 1"),
        (kl.MaxPooling2D(3), "MaxPooling2D: pool_size (3, 3); it must be 2; strides (3, 3); they must be 2"),
        (kl.MaxPooling2D(2, strides=1), "MaxPooling2D: strides (1, 1); they must be 2"),
        (kl.MaxPooling2D(2, padding="same"), "MaxPooling2D: padding same; it must be valid"),
        (kl.GlobalAveragePooling2D(keepdims=True), "GlobalAveragePooling2D: keepdims=True; it must be False"),
        (kl.ZeroPadding2D(((0, 1), (0, 1))), "ZeroPadding2D: padding ((0, 1), (0, 1)); all sides must get the same"),
        (kl.BatchNormalization(momentum=0.9), "BatchNormalization: momentum 0.9; it must be 0.99"),
        (kl.BatchNormalization(epsilon=1e-5), "BatchNormalization: epsilon 1e-05; it must be 0.001"),
        (kl.BatchNormalization(axis=1), "BatchNormalization: axis [1]; it must be the last one"),
        (kl.BatchNormalization(center=False), "BatchNormalization: center and scale must be True"),
        (kl.LayerNormalization(axis=[1, 2]), "LayerNormalization: axis [1, 2]; it must be the last one"),
        (kl.Dropout(0.1, noise_shape=(1, 1, 28, 1)), "Dropout: noise_shape; there is none here"),
        (kl.ReLU(negative_slope=0.1), "ReLU: max_value, negative_slope or threshold; it must be plain, or max_value 6"),
        (kl.Rescaling(1 / 127.5, -1), "Rescaling: there is no such layer here (networks take images in [0, 1]"),
        (
            kl.RandomFlip(),
            "RandomFlip: there is no such layer here (augmentation is no part of a network; see --augment)",
        ),
        (kl.Conv2D(2, 3, kernel_regularizer="l2"), "Conv2D: it has kernel_regularizer; there are none here"),
        (kl.Conv2D(2, 3, trainable=False), "Conv2D: it is frozen; all layers are trained here"),
        (kl.Conv2D(2, 3, dtype="mixed_float16"), "Conv2D: it computes in float16; it must be float32"),
        (Mine(3), f"Mine of {__name__}: there is no such layer here"),
        (kl.Reshape((14, 56)), "Reshape: it makes (14, 56); it must make vectors"),
        (kl.UpSampling2D(), "UpSampling2D: there is no such layer here"),
    ],
)
def test_a_layer_without_a_translation_is_named_with_the_reason(layer, words):
    with pytest.raises(InputError) as raised:
        from_keras(chain(layer))
    assert str(raised.value).startswith(f"from_keras: cannot translate {layer.name} ({words}")


def test_all_layers_without_a_translation_are_named_at_once():
    model = chain(kl.GaussianNoise(1.0, name="a"), kl.Conv2D(4, (1, 2), name="b"), kl.GaussianNoise(1.0, name="c"))
    with pytest.raises(InputError) as raised:
        from_keras(model)
    assert str(raised.value) == (
        "from_keras: cannot translate a, c (GaussianNoise: there is no such layer here); "
        "b (Conv2D: kernel_size (1, 2); kernels must be square)"
    )


def forks_that_cross(image):
    first, second = kl.Flatten(name="first")(image), kl.Dense(10)
    shared = kl.Dense(10, name="crossing")(first)
    return kl.Add()([second(shared), kl.Dense(10)(kl.Concatenate()([first, shared]))])


@pytest.mark.parametrize(
    "end, words",
    [
        (forks_that_cross, "crossing (its output goes into two branches of a later fork)"),
        (lambda x: kl.Multiply(name="gate")([x, kl.Dense(1)(x)]), "gate (Multiply: there is no such layer here; forks"),
        (lambda x: kl.Add(name="sum")([x, x, x]), "sum (Add: it adds 3 branches; a Residual adds 2)"),
        (lambda x: kl.Concatenate(1, name="rows")([x, x]), "rows (Concatenate: axis 1; it must be the last one)"),
        (lambda x: kl.Flatten()(x) + 1.0, "tf.__operators__.add"),
        (lambda x: [kl.Flatten()(x), x], "(it has 2 outputs; it must have one)"),
        (
            lambda x: kl.Dense(10, activation="sigmoid")(kl.Flatten()(x)),
            "(the model ends in a sigmoid; networks end in",
        ),
    ],
)
def test_a_graph_that_is_no_chain_of_forks_is_refused(end, words):
    image = keras.Input((28, 28, 1))
    with pytest.raises(InputError) as raised:
        from_keras(keras.Model(image, end(image)))
    assert words in str(raised.value) and "\n" not in str(raised.value)


def test_shared_weights_and_code_of_the_user_are_refused():
    layer = kl.Conv2D(1, 3, name="twice")
    with pytest.raises(InputError, match=r"twice \(it is used more than once; weights are not shared here"):
        from_keras(chain(layer, layer))
    with pytest.raises(InputError, match=r"twice \(it is used more than once"):
        from_keras(keras.Sequential([layer, layer]))

    class Subclassed(keras.Model):
        pass

    with pytest.raises(InputError, match="a subclass may compute anything; it must be Sequential or functional"):
        from_keras(Subclassed())
    with pytest.raises(InputError, match=r"takes a tf.keras.Model of TensorFlow 2.15.\d, not a builtins.list"):
        from_keras([])


def test_rows_of_pixels_are_refused_where_a_layer_would_mix_them_up():
    with pytest.raises(InputError, match=r"it takes \(28, 28\); put Flatten before it, or Reshape to"):
        from_keras(keras.Sequential([kl.LayerNormalization(input_shape=(28, 28)), kl.Flatten(), kl.Dense(10)]))


def test_a_keras_model_made_within_a_network_function_leaves_nothing_in_the_graph_of_the_run(tmp_path):
    from estimator_mnist import architectures, user_code

    content = b"""
import tensorflow as tf
from estimator_mnist.layers import from_keras
from estimator_mnist.layers.activations import activation_name
outside = tf.keras.Sequential([tf.keras.layers.Flatten(), tf.keras.layers.Dense(5)])
def network(experiment):
    image = tf.keras.Input(experiment.image_shape)
    x = tf.keras.layers.Conv2D(2, 3)(image)
    x = tf.keras.layers.Flatten()(x + tf.keras.layers.Activation("relu")(x))
    return from_keras(tf.keras.Model(image, tf.keras.layers.Dense(experiment.classes)(x)))
"""
    experiment = Experiment(model="net.py:network", user_code={"net.py": user_code.register(content)})
    with tf.Graph().as_default() as graph:
        made = [architectures.create_network(experiment).weight_shapes() for _ in range(2)]
        assert not graph.get_operations() and not tf.compat.v1.global_variables()
    assert made[0] == made[1] and set(made[0]) == {"conv2d/kernel", "conv2d/bias", "dense/kernel", "dense/bias"}
