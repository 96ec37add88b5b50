"""The filters and the hidden layer of networks of any kind."""

from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import first_filters
from estimator_mnist.layers import (
    BatchNorm,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAveragePool,
    Layer,
    Parallel,
    Pool2D,
    Residual,
    relu,
)
from estimator_mnist.layers.network import Network
from estimator_mnist.model import model_fn

GREY, COLOUR = (8, 6, 1), (8, 6, 3)
LOGITS = [GlobalAveragePool("pool"), Dense("logits", 3)]


def saved(network: Network, folder: Path) -> str:
    """Saves the initial weights and returns the path prefix of the checkpoint."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network.build(0)
        session.run(tf.compat.v1.global_variables_initializer())
        variables = tf.compat.v1.global_variables() or [tf.compat.v1.get_variable("no_weights", [])]
        session.run(tf.compat.v1.global_variables_initializer())
        return str(tf.compat.v1.train.Saver(variables).save(session, str(folder / "model.ckpt")))


@pytest.mark.parametrize(
    "layers, shape, expected",
    [
        ([Conv2D("conv", 5, 3), *LOGITS], GREY, (3, 3, 5)),
        ([Conv2D("conv", 5, 3), *LOGITS], COLOUR, (3, 3, 3, 5)),
        ([BatchNorm("norm"), Pool2D("half"), Conv2D("conv", 5, 3), *LOGITS], COLOUR, (3, 3, 3, 5)),
        ([Residual("block", [Conv2D("conv", 3, 3, padding="SAME")]), *LOGITS], COLOUR, (3, 3, 3, 3)),
        ([DepthwiseConv2D("depthwise", 3), Conv2D("conv", 5, 1), *LOGITS], COLOUR, (3, 3, 3)),
        ([Parallel("twice", [[], []]), Conv2D("conv", 5, 3), *LOGITS], COLOUR, (3, 3, 5)),
        ([Flatten("flatten"), Dense("logits", 3)], GREY, (8, 6, 3)),
        ([Flatten("flatten"), Dense("logits", 3)], COLOUR, (8, 6, 3, 3)),
        ([Pool2D("half"), Flatten("flatten"), BatchNorm("norm"), Dense("logits", 3)], COLOUR, (4, 3, 3, 3)),
        ([GlobalAveragePool("pool"), Dense("logits", 3)], COLOUR, (1, 3, 3)),
        ([BatchNorm("norm"), GlobalAveragePool("pool")], COLOUR, None),
        ([GlobalAveragePool("pool")], COLOUR, None),
    ],
)
def test_the_first_layer_with_a_kernel_gives_the_filters(layers, shape, expected, tmp_path):
    network = Network(layers, shape, 3)
    filters = first_filters.read(network, saved(network, tmp_path))
    assert (None if filters is None else filters.shape) == expected
    assert filters is None or np.abs(filters).max() > 0


def test_a_dense_layer_shows_the_weight_of_each_pixel(tmp_path):
    kernel = np.arange(2 * 3 * 3 * 4, dtype=np.float32).reshape(18, 4)
    images = first_filters.as_images(kernel, (2, 3, 3))
    assert images[1, 2, 0, 3] == kernel[(1 * 3 + 2) * 3 + 0, 3]
    assert first_filters.as_images(kernel[:6], (2, 3, 1))[1, 0, 2] == kernel[3, 2]


@pytest.mark.parametrize(
    "layers, units",
    [
        ([Flatten("flatten"), Dense("hidden", 7, relu), Dense("logits", 3)], 7),
        ([Flatten("flatten"), Dense("logits", 3)], 144),
        ([Conv2D("conv", 3, 3), GlobalAveragePool("pool")], 6 * 4 * 3),
        ([Conv2D("conv", 64, 3, padding="SAME"), Flatten("flatten"), Dense("logits", 3)], model_fn.MAX_HIDDEN),
        ([GlobalAveragePool("pool")], 144),
    ],
)
def test_every_network_has_a_hidden_layer_of_vectors(layers, units):
    values, images = hidden_of(layers, 5)
    assert values.shape == (5, units)
    if units == 144:
        assert values == pytest.approx(images.reshape(5, 144) / 255.0)


def test_a_large_hidden_layer_is_sampled_evenly_from_end_to_end(monkeypatch):
    monkeypatch.setattr(model_fn, "MAX_HIDDEN", 3)
    values, images = hidden_of([Flatten("flatten"), Dense("logits", 3)], 2)
    assert values == pytest.approx(images.reshape(2, 144)[:, [0, 72, 143]] / 255.0)


def hidden_of(layers: List[Layer], examples: int) -> Tuple[np.ndarray, np.ndarray]:
    """Returns "hidden" of some random images, and the images."""
    images = np.random.default_rng(0).integers(0, 256, (examples, *COLOUR)).astype(np.uint8)
    experiment = Experiment(image_shape=COLOUR, class_names=("a", "b", "c"))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = Network(layers, COLOUR, 3)
        network.build(0)
        hidden = model_fn.classify(experiment, network, tf.constant(images))["hidden"]
        session.run(tf.compat.v1.global_variables_initializer())
        return session.run(hidden), images
