"""Batch normalisation: against its definition, by micro-batches, over a run, and in everything a run exports."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from support import assert_equal_to_the_bit, checkpoint

from estimator_mnist.architectures import ARCHITECTURES, create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers.normalization import EPSILON, MEAN, VARIANCE, BatchNorm
from estimator_mnist.model import weight_ema
from estimator_mnist.model.model_fn import model_fn
from input_fns import InputError

RNG = np.random.default_rng(0)
FLAGS = ["--source", "sample", "--model", "conv", "--batch_norm", "--batch_size", "48", "--train_steps", "90"]


@pytest.mark.parametrize("shape", [(32, 5, 5, 4), (320, 4)], ids=["images", "vectors"])
def test_outputs_and_statistics_are_those_of_the_paper(shape):
    x = RNG.normal(3, 2, shape).astype(np.float32)
    axes = tuple(range(len(shape) - 1))
    weights = {name: RNG.random(4, np.float32) + 0.5 for name in ("gamma", "beta", MEAN, VARIANCE)}
    layer = BatchNorm("norm", tf.nn.relu)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tensors = {name: tf.constant(value) for name, value in weights.items()}
        (in_training, statistics), in_use = session.run(
            (layer.train(tf.constant(x), tensors), layer.compute(tf.constant(x), tensors))
        )
    assert statistics["norm", MEAN] == pytest.approx(x.mean(axes), rel=1e-4)
    assert statistics["norm", VARIANCE] == pytest.approx(x.var(axes), rel=1e-2)
    for output, mean, variance in (
        (in_training, x.mean(axes), x.var(axes)),
        (in_use, weights[MEAN], weights[VARIANCE]),
    ):
        expected = (x - mean) / np.sqrt(variance + EPSILON) * weights["gamma"] + weights["beta"]
        assert output.shape == shape and np.allclose(output, np.maximum(expected, 0), atol=1e-4)


def test_each_micro_batch_has_its_own_statistics_and_padding_adds_none(monkeypatch):
    """30 images in micro-batches of 8: the last one is filled up with rows of its own batch."""
    images, labels = RNG.random((30, 28, 28, 1), np.float32), (np.arange(30) % 10).astype(np.int32)
    monkeypatch.setitem(ARCHITECTURES, "conv", dataclasses.replace(ARCHITECTURES["conv"], shards=2))
    experiment = Experiment(
        batch_norm=True, train_examples=30, batch_size=16, iterations_per_loop=1, learning_rate=1e-9
    )

    def after_one_step(rows: slice):
        """Returns the moving mean after one step on some images, and the feature maps that it is the mean of."""
        with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
            features = {"image": tf.constant(images[rows])}
            spec = model_fn(features, tf.constant(labels[rows]), "train", {"experiment": experiment})
            session.run(tf.compat.v1.global_variables_initializer())
            session.run(spec.train_op)
            mean, kernel = (
                session.run(graph.get_tensor_by_name(f"{name}/Read/ReadVariableOp:0"))
                for name in ("norm1/moving_mean", "conv1/kernel")
            )
            maps = tf.nn.max_pool2d(tf.nn.conv2d(tf.constant(images[rows]), kernel, 1, "VALID"), 2, 2, "VALID")
            return mean, session.run(maps)

    mean, maps = after_one_step(slice(0, 16))
    assert mean == pytest.approx(0.9 * maps.mean((0, 1, 2)), rel=1e-3)  # the first step has a share of 0.9
    mean, maps = after_one_step(slice(16, 30))  # 14 images
    of_micro_batches = [maps[:8].mean((0, 1, 2)), np.concatenate([maps[8:], maps[:2]]).mean((0, 1, 2))]
    assert mean == pytest.approx(0.9 * np.mean(of_micro_batches, axis=0), rel=1e-3)


def test_moving_statistics_are_variables_that_are_not_trained():
    network = create_network(Experiment(batch_norm=True, average_decay=0.9))
    rows = {row.layer: row for row in network.table()}
    assert (rows["norm1"].parameters, rows["norm2"].parameters, rows["conv1"].parameters) == (128, 192, 1600)
    assert ("norm1", MEAN) not in network.trained() and ("norm1", "gamma") in network.trained()
    assert network.weight_shapes()["norm2/moving_variance"] == (96,)
    assert network.has_statistics and not create_network(Experiment()).has_statistics


def test_a_run_is_bitwise_equal_however_its_steps_are_divided_into_session_calls(cli, tmp_path):
    for folder, words in (("a", []), ("b", ["--iterations_per_loop", "1"])):
        done = cli(*FLAGS, *words, "--average_decay", "0.9", "--model_dir", folder)
        assert done.returncode == 0 and done.stderr == "", done.stderr
    first, second = checkpoint(tmp_path / "a"), checkpoint(tmp_path / "b")
    assert {"norm1/moving_mean", "norm1/moving_mean" + weight_ema.TRAINED, "norm2/gamma"} <= set(first)
    assert_equal_to_the_bit(first, second)
    exported = cli("export", "--model_dir", "a")  # each format must give the classes that the Estimator gives
    assert exported.returncode == 0, exported.stderr


def test_models_without_the_option_refuse_it():
    with pytest.raises(InputError, match=r"^--batch_norm: True is not possible; it must be false with"):
        Experiment(model="dense", batch_norm=True)
