"""Every layer in every format: a network that has them all is trained, stopped, resumed and exported."""

import dataclasses
import importlib
import importlib.util
import inspect
import json
import pkgutil
import subprocess

import branched_network
import numpy as np
import pytest
import tensorflow as tf
from support import assert_equal_to_the_bit, checkpoint

import input_fns
from estimator_mnist import layers
from estimator_mnist.architectures import ARCHITECTURES
from estimator_mnist.export import command as export
from estimator_mnist.export import formats, isolated_venv, keras_layers, runtimes, throughput
from estimator_mnist.layers import Activation, Conv2D, Dense, Flatten, Layer, Residual, activations
from estimator_mnist.layers.branches import Branched
from estimator_mnist.layers.network import Network
from estimator_mnist.system.errors import RunError
from estimator_mnist.training.estimator import create as create_estimator

EXACT = [name for name in formats.FORMATS if formats.FORMATS[name].exact and name != "keras"]
STEPS = 200


def layer_classes():
    """Returns the classes of all layers that the package offers."""
    classes = set()
    for module in pkgutil.iter_modules(layers.__path__, f"{layers.__name__}."):
        for _, value in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(value, Layer) and value not in (Layer, Branched):
                classes.add(value)
    return classes


def test_every_layer_has_a_translation_to_keras():
    assert layer_classes() == set(keras_layers.TRANSLATIONS)


def test_the_test_s_network_has_every_layer(monkeypatch):
    def classes(chain):
        for layer in chain:
            yield type(layer)
            for inner in getattr(layer, "chains", ()):
                yield from classes(inner)

    experiment = branched_network.experiment(monkeypatch)
    assert set(classes(experiment.architecture.layers(experiment))) == layer_classes()


class Mirrored(Flatten):
    """A user's own layer: a subclass of a layer that Keras knows."""

    def linear(self, x, weights):
        return super().linear(x[:, ::-1], weights)


def mish(x):
    """A user's own activation (arXiv 1908.08681)."""
    return x * tf.tanh(tf.nn.softplus(x))


def test_what_keras_does_not_have_is_named_in_one_line():
    for layer, message in (
        (Mirrored("mirrored"), "--formats keras: Keras has no layer like block/mirrored (Mirrored)"),
        (Activation("mish", mish), "--formats keras: the activation of block/mish cannot be written; those that"),
    ):
        flat = [Flatten("flatten")] if isinstance(layer, Activation) else []
        network = Network([Flatten("flatten"), Residual("block", [*flat, layer]), Dense("logits", 10)], (4, 4, 1))
        with pytest.raises(RunError) as raised:
            keras_layers.tree(network)
        assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_names_in_keras_are_unique_where_paths_are():
    def tree_of(*chain):
        return keras_layers.tree(Network([*chain, Flatten("flatten"), Dense("logits", 10)], (4, 4, 1)))["layers"]

    def names(nodes):
        for node in nodes:
            yield node["arguments"]["name"]
            for branch in node.get("branches", ()):
                yield from names(branch)

    block = [Activation("relu", layers.relu), Activation("block_relu", layers.relu)]
    nodes = tree_of(Conv2D("block_relu", 1, 1), Residual("block", block, activation=layers.relu))
    assert len(set(names(nodes))) == len(list(names(nodes))) and not any("/" in name for name in names(nodes))


@pytest.fixture(scope="module")
def trained(sample, tmp_path_factory):
    """A run of the network of every layer: the experiment, and the model_dir of its last checkpoint."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        experiment = branched_network.experiment(
            monkeypatch,
            source="sample",
            train_examples=sample.train.examples,
            test_examples=sample.test.examples,
            batch_size=64,
            train_steps=STEPS,
            iterations_per_loop=10,
            learning_rate=0.005,
        )
        model_dir = tmp_path_factory.mktemp("every_layer")
        train(experiment, model_dir, sample, 0, STEPS)
        yield experiment, model_dir


def train(experiment, model_dir, data, start, stop):
    """Trains from a step to another with an Estimator that resumes from the checkpoint of the first."""

    def input_fn():
        return input_fns.train_input_fn(
            data.train,
            experiment.batch_size,
            experiment.seed,
            stops=[stop],
            start=start,
            steps_per_block=experiment.steps_per_loop,
        )

    create_estimator(experiment, model_dir, data).train(input_fn)


def test_a_stopped_and_resumed_run_ends_bitwise_equal(trained, sample, tmp_path):
    experiment, model_dir = trained
    for start, stop in ((0, 77), (77, STEPS)):
        train(experiment, tmp_path, sample, start, stop)
    assert_equal_to_the_bit(checkpoint(model_dir), checkpoint(tmp_path))


def written(trained, sample, monkeypatch, names):
    monkeypatch.setattr(throughput, "AT_LEAST_SECONDS", 0.01)
    experiment, model_dir = trained
    rows, failures = export.export(experiment, sample, model_dir, None, names)
    assert not failures and [row.format for row in rows] == ["checkpoint", *names]
    assert rows[0].accuracy > 0.8  # so that classes are decided by what the network has learned
    return rows


def test_every_layer_gives_the_classes_of_the_estimator(trained, sample, monkeypatch):
    names = [name for name in EXACT if name != "onnx" or importlib.util.find_spec("tf2onnx")]
    rows = written(trained, sample, monkeypatch, names)
    assert all(row.largest_logit_difference < 1e-3 for row in rows)


def test_every_layer_can_be_computed_in_int8(trained, sample, monkeypatch):
    # A network trained for so few steps has many close calls. What matters here is that every op has an int8 kernel.
    monkeypatch.setattr(export, "INT8_LOSS", 0.02)
    rows = written(trained, sample, monkeypatch, ["tflite_int8"])
    assert rows[1].bytes < 60_000
    interpreter = tf.lite.Interpreter(str(trained[1] / "export" / "tflite" / "model_int8.tflite"))
    kinds = {detail["dtype"] for detail in interpreter.get_tensor_details() if len(detail["shape"]) == 4}
    assert np.int8 in kinds


def test_every_layer_gives_the_classes_of_the_estimator_in_keras_3(trained, sample, monkeypatch):
    try:
        isolated_venv.python_of(runtimes.KERAS_LOCK, runtimes.KERAS_VENV, print)
    except RunError as error:
        pytest.skip(f"needs the environment of Keras 3: {error}")
    rows = written(trained, sample, monkeypatch, ["keras"])
    assert rows[1].largest_logit_difference < 1e-3


def test_an_unknown_activation_leaves_the_other_formats(trained, sample, monkeypatch):
    experiment, model_dir = trained

    def with_mish(experiment):
        *chain, last = branched_network.layers(experiment)
        return [*chain[:-1], dataclasses.replace(chain[-1], activation=mish), last]

    monkeypatch.setitem(ARCHITECTURES, "conv", dataclasses.replace(ARCHITECTURES["conv"], layers=with_mish))
    monkeypatch.setattr(throughput, "AT_LEAST_SECONDS", 0.01)
    rows, failures = export.export(experiment, sample, model_dir, None, ["keras", "tflite"])
    assert [row.format for row in rows] == ["checkpoint", "tflite"]
    assert [str(failure).startswith("--formats keras: the activation of gelu cannot") for failure in failures] == [True]


IN_KERAS_3 = """
import json, sys, keras, numpy
x = numpy.linspace(-8, 8, 1001, dtype="float32")
print(json.dumps({name: numpy.asarray(keras.activations.get(name)(x)).tolist() for name in sys.argv[1:]}))
"""


def test_activations_are_the_same_functions_in_keras_3(tmp_path):
    try:
        python = isolated_venv.python_of(runtimes.KERAS_LOCK, runtimes.KERAS_VENV, print)
    except RunError as error:
        pytest.skip(f"needs the environment of Keras 3: {error}")
    names = {activations.ACTIVATIONS[name]: name for name in keras_layers.KERAS_ACTIVATIONS}
    names.update(keras_layers.TENSORFLOW_ACTIVATIONS)
    done = subprocess.run([python, "-c", IN_KERAS_3, *names.values()], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    in_keras = json.loads(done.stdout)
    for function, name in names.items():
        assert np.allclose(function(np.linspace(-8, 8, 1001, dtype=np.float32)), in_keras[name], atol=1e-6), name


def test_every_named_activation_has_a_translation():
    for name, function in activations.ACTIVATIONS.items():
        nodes = keras_layers.tree(Network([Flatten("flat"), Dense("logits", 3, function)], (2, 2, 1)))["layers"]
        assert len(nodes) > 2, name
