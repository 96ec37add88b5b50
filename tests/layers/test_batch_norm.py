"""Batch normalisation: against its definition, by shards, and with all that leaves a run."""

import numpy as np
import pytest
import tensorflow as tf
from support import assert_equal_to_the_bit, checkpoint

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers import batch_norm
from estimator_mnist.layers import network as networks
from estimator_mnist.layers.batch_norm import MEAN, VARIANCE, BatchNorm
from estimator_mnist.model import cpu_parallelism, weight_ema
from estimator_mnist.model.model_fn import model_fn
from input_fns import InputError

RNG = np.random.default_rng(0)
FLAGS = ["--source", "sample", "--model", "conv", "--batch_norm", "--batch_size", "48", "--train_steps", "90"]


def test_it_is_what_its_paper_says():
    x = RNG.normal(3, 2, (32, 5, 5, 4)).astype(np.float32)
    weights = {name: RNG.random(4, np.float32) + 0.5 for name in ("gamma", "beta", MEAN, VARIANCE)}
    layer = BatchNorm("norm", tf.nn.relu)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tensors = {name: tf.constant(value) for name, value in weights.items()}
        (trained, found), used = session.run(
            (layer.train(tf.constant(x), tensors), layer.compute(tf.constant(x), tensors))
        )
    assert found["norm", MEAN] == pytest.approx(x.mean((0, 1, 2)), rel=1e-4)
    assert found["norm", VARIANCE] == pytest.approx(x.var((0, 1, 2)), rel=1e-2)
    for output, mean, variance in (
        (trained, x.mean((0, 1, 2)), x.var((0, 1, 2))),
        (used, weights[MEAN], weights[VARIANCE]),
    ):
        expected = (x - mean) / np.sqrt(variance + batch_norm.EPSILON) * weights["gamma"] + weights["beta"]
        assert np.allclose(output, np.maximum(expected, 0), atol=1e-4)


def test_shards_go_by_themselves_and_fillers_count_for_nothing(monkeypatch):
    """30 images in shards of 8: the second of the last batch is filled up with the batch's own again."""
    images, labels = RNG.random((30, 28, 28, 1), np.float32), (np.arange(30) % 10).astype(np.int32)
    monkeypatch.setattr(cpu_parallelism, "SHARDS", {"conv": 2})

    def moving(rows: slice, iterations_per_loop: int) -> np.ndarray:
        experiment = Experiment(
            batch_norm=True,
            train_examples=30,
            batch_size=16,
            iterations_per_loop=iterations_per_loop,
            learning_rate=1e-9,
        )
        with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
            made = model_fn(
                {"image": tf.constant(images[rows])}, tf.constant(labels[rows]), "train", {"experiment": experiment}
            )
            session.run(tf.compat.v1.global_variables_initializer())
            session.run(made.train_op)
            mean, kernel = (
                session.run(graph.get_tensor_by_name(f"{name}/Read/ReadVariableOp:0"))
                for name in ("norm1/moving_mean", "conv1/kernel")
            )
            maps = tf.nn.max_pool2d(tf.nn.conv2d(tf.constant(images[rows]), kernel, 1, "VALID"), 2, 2, "VALID")
            return mean, session.run(maps)

    first, maps = moving(slice(0, 16), 1)
    assert first == pytest.approx(0.9 * maps.mean((0, 1, 2)), rel=1e-3)  # of the first step a share of 0.9
    last, maps = moving(slice(16, 30), 1)  # 14 images
    of_shards = [maps[:8].mean((0, 1, 2)), np.concatenate([maps[8:], maps[:2]]).mean((0, 1, 2))]
    assert last == pytest.approx(0.9 * np.mean(of_shards, axis=0), rel=1e-3)


def test_its_statistics_are_not_trained_but_saved_and_averaged():
    experiment = Experiment(batch_norm=True, average_decay=0.9)
    network = networks.create(experiment)
    rows = {row.layer: row for row in network.table()}
    assert (rows["norm1"].parameters, rows["norm2"].parameters, rows["conv1"].parameters) == (128, 192, 1600)
    assert ("norm1", MEAN) not in network.trained() and ("norm1", "gamma") in network.trained()
    assert network.weight_shapes()["norm2/moving_variance"] == (96,)


def test_a_run_is_the_same_to_the_bit_however_it_is_cut(cli, tmp_path):
    for folder, words in (("a", []), ("b", ["--iterations_per_loop", "1"])):
        done = cli(*FLAGS, *words, "--average_decay", "0.9", "--model_dir", folder)
        assert done.returncode == 0 and done.stderr == "", done.stderr
    first, second = checkpoint(tmp_path / "a"), checkpoint(tmp_path / "b")
    assert {"norm1/moving_mean", "norm1/moving_mean" + weight_ema.TRAINED, "norm2/gamma"} <= set(first)
    assert_equal_to_the_bit(first, second)
    exported = cli("export", "--model_dir", "a")  # each format has to give the classes that the Estimator gives
    assert exported.returncode == 0, exported.stderr


def test_other_models_have_none():
    with pytest.raises(InputError, match=r"^--batch_norm: True is not possible; it must be false with"):
        Experiment(model="dense", batch_norm=True)
