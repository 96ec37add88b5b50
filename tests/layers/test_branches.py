"""Networks with branches: their paths, what they compute, their determinism, and what they refuse."""

import branched_network
import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePool,
    LayerNorm,
    Parallel,
    Pool2D,
    Residual,
    relu,
)
from estimator_mnist.layers.network import Network
from estimator_mnist.model.model_fn import model_fn
from input_fns import InputError

IMAGES = np.random.default_rng(0).random((48, 28, 28, 1), np.float32)
LABELS = (np.arange(48) % 10).astype(np.int32)
END = [Flatten("flatten"), Dense("logits", 10)]


def test_layers_and_variables_are_named_by_their_paths(monkeypatch):
    network = create_network(branched_network.experiment(monkeypatch, dropout_rate=0.0))
    rows = {row.layer: row for row in network.table()}
    assert rows.keys() == branched_network.PATHS
    assert rows["block/depthwise"].output_shape == (14, 14, 8) and rows["block/depthwise"].parameters == 80
    assert rows["block"] == ("block", (14, 14, 12), 0) and rows["mixed"].output_shape == (7, 7, 22)
    assert rows["ends"].output_shape == (22 + 22 + 9 * 22,)
    with tf.Graph().as_default():
        network.build(0)
        names = {variable.op.name: tuple(variable.shape) for variable in tf.compat.v1.global_variables()}
    assert names == network.weight_shapes()
    assert names["mixed/inner/depthwise/kernel"] == (3, 3, 6, 1)
    assert network.variables["block/batch_norm", "moving_mean"].shape == (12,)
    assert ("block/batch_norm", "moving_mean") not in network.trained() and network.has_statistics
    trained = [value.shape.num_elements() for key in network.trained() for value in network.variables[key].parts]
    assert sum(trained) == network.parameters == sum(row.parameters for row in network.table())


def evaluated(layers, shape=(28, 28, 1), images=IMAGES):
    """Returns the output of each layer of the chain, by name, and the weights, by key."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = Network(layers, shape)
        network.build(0)
        outputs = {layer.name: out for layer, (out,) in zip(network.layers, network.outputs(tf.constant(images)))}
        session.run(tf.compat.v1.global_variables_initializer())
        weights = {key: session.run(variable.parts[0]) for key, variable in network.variables.items()}
        return session.run(outputs), weights


def test_a_residual_adds_its_branch_to_its_shortcut():
    conv = Conv2D("conv", 3, 3, padding="SAME")
    first = Conv2D("first", 3, 3)
    projection = Conv2D("projection", 3, 1, bias=False)
    layers = [first, Residual("plain", [conv]), Residual("block", [conv], [projection], relu), *END]
    outputs, weights = evaluated(layers)

    def conv2d(x, layer):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            y = tf.nn.conv2d(x, weights[layer, "kernel"], strides=1, padding="SAME")
            return session.run(y + weights.get((layer, "bias"), 0.0))

    expected = outputs["first"] + conv2d(outputs["first"], "plain/conv")
    assert np.allclose(outputs["plain"], expected, atol=1e-5)
    expected = np.maximum(conv2d(expected, "block/conv") + conv2d(expected, "block/projection"), 0)
    assert np.allclose(outputs["block"], expected, atol=1e-5)
    # The initial weights are functions of the path: equal layers in different blocks start from different ones.
    assert not np.array_equal(weights["plain/conv", "kernel"], weights["block/conv", "kernel"])


def test_parallel_branches_are_concatenated_in_their_order():
    layers = [Pool2D("pool"), Parallel("both", [[], [Conv2D("conv", 2, 1)]]), *END]
    outputs, weights = evaluated(layers)
    assert outputs["both"].shape[1:] == (14, 14, 3)
    assert np.array_equal(outputs["both"][..., :1], outputs["pool"])
    assert np.allclose(outputs["both"][..., 1:], outputs["pool"] * weights["both/conv", "kernel"][0, 0], atol=1e-5)


def test_dropout_in_a_branch_has_masks_of_its_path():
    layers = [Parallel("both", [[Dropout("drop", 0.5)], [Dropout("other", 0.5)]]), Dropout("drop", 0.5), *END]
    network = Network(layers, (28, 28, 1))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network.build(0)
        drawn = network.dropout_masks(5, tf.constant(3, tf.int64), tf.constant(2), len(IMAGES))
        masks = {name: of_layer.of_step(of_layer.bits[0]) for name, of_layer in drawn.items()}
        both, dropped, *_ = (output for (output,) in network.outputs(tf.constant(IMAGES), masks))
        masks, both, dropped = session.run([masks, both, dropped])
    assert set(masks) == {"both/drop", "both/other", "drop"}
    for one, other in (("both/drop", "both/other"), ("both/drop", "drop")):
        assert not np.array_equal(masks[one], masks[other][..., :1])
    expected = np.concatenate([IMAGES * masks["both/drop"], IMAGES * masks["both/other"]], -1)
    assert np.array_equal(both, expected) and np.array_equal(dropped, expected * masks["drop"])


def trained(experiment, calls, steps_per_call):
    """Returns all variables after some session calls on successive batches of 16 images, and their initial values."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        image = tf.compat.v1.placeholder(tf.float32, [None, 28, 28, 1])
        label = tf.compat.v1.placeholder(tf.int32, [None])
        spec = model_fn({"image": image}, label, tf.estimator.ModeKeys.TRAIN, {"experiment": experiment})
        session.run(tf.compat.v1.global_variables_initializer())
        variables = {variable.op.name: variable for variable in tf.compat.v1.global_variables()}
        before, rows = session.run(variables), 16 * steps_per_call
        for call in range(calls):
            chosen = np.arange(call * rows, (call + 1) * rows) % len(IMAGES)
            session.run(spec.train_op, {image: IMAGES[chosen], label: LABELS[chosen]})
        return session.run(variables), before


def test_training_is_bitwise_equal_however_its_steps_are_divided_into_session_calls(monkeypatch):
    def fields(steps_per_loop):
        return {"train_examples": 192, "batch_size": 16, "iterations_per_loop": steps_per_loop, "average_decay": 0.9}

    at_once, before = trained(branched_network.experiment(monkeypatch, **fields(12)), 1, 12)
    in_two, _ = trained(branched_network.experiment(monkeypatch, **fields(6)), 2, 6)
    one_by_one, _ = trained(branched_network.experiment(monkeypatch, **fields(1)), 12, 1)
    assert at_once.keys() == in_two.keys() == one_by_one.keys() and at_once["global_step"] == 12
    for name, value in at_once.items():
        assert np.array_equal(value, in_two[name]) and np.array_equal(value, one_by_one[name]), name
        assert np.isfinite(value).all() and not np.array_equal(value, before[name]), f"{name} was not trained"


@pytest.mark.parametrize(
    "layers, message",
    [
        ([], "layers: the network ends in 28x28x1 and must end in 10 logits"),
        ([Conv2D("c1", 8, 3)], "layer c1: the network ends in 26x26x8 and must end in 10 logits"),
        ([Flatten("flatten"), Dense("last", 9)], "layer last: the network ends in 9 and must end in 10 logits"),
        ([Dense("d1", 10)], "layer d1: it takes vectors and gets 28x28x1; put Flatten or GlobalAveragePool before it"),
        ([Flatten("flatten"), Conv2D("c1", 8, 3)], "layer c1: it takes images and gets 784; put it before"),
        ([Conv2D("c1", 8, 29), *END], "layer c1: it turns 28x28x1 into 0x0x8; every side"),
        ([Conv2D("c1", 8, 3), Conv2D("c1", 8, 3), *END], "layer c1: two layers have this name"),
        (
            [Residual("block", [Conv2D("a", 1, 1)], [Conv2D("a", 1, 1)]), *END],
            "layer block/a: two layers have this name",
        ),
        ([Parallel("p", [[Conv2D("a", 1, 1)], [Conv2D("a", 1, 1)]]), *END], "layer p/a: two layers have this name"),
        ([Conv2D("c/1", 8, 3), *END], "layer 'c/1': a name has letters, digits and _"),
        (
            [Residual("block", [Conv2D("a", 8, 3)]), *END],
            "layer block: its branch ends in 26x26x8 and its shortcut in 28x28x1; a sum needs equal shapes",
        ),
        (
            [Residual("block", [Residual("in", [Pool2D("pool")])]), *END],
            "layer block/in: its branch ends in 14x14x1 and its shortcut in 28x28x1",
        ),
        (
            [Parallel("p", [[Pool2D("pool")], []]), *END],
            "layer p: its branches end in 14x14x1 and 28x28x1; all axes but the last must be equal",
        ),
        ([Parallel("p", [[]]), *END], "layer p: it has 1 branches; it needs two or more"),
        ([Residual("block", [Dense("d1", 5)]), *END], "layer block/d1: it takes vectors and gets 28x28x1"),
    ],
)
def test_layers_that_make_no_network_are_named_in_one_line(layers, message):
    with pytest.raises(InputError) as raised:
        Network(layers, (28, 28, 1), 10)
    assert str(raised.value).startswith(message) and "\n" not in str(raised.value)


def test_equal_names_in_different_blocks_are_possible():
    norms = [BatchNorm("norm"), LayerNorm("layer_norm")]
    layers = [Residual("block1", norms), Residual("block2", norms), GlobalAveragePool("mean")]
    assert len(Network(layers, (28, 28, 1)).weight_shapes()) == 2 * (4 + 2)


def test_batch_normalisation_is_refused_where_replicas_would_not_share_statistics(monkeypatch):
    experiment = branched_network.experiment(monkeypatch, strategy="mirrored", replicas=2)
    with pytest.raises(InputError, match=r"^--strategy: mirrored is not possible with BatchNorm layers"):
        create_network(experiment)
