"""The histograms of gradients that training logs."""

import dataclasses
from typing import Dict

import numpy as np
import pytest
import tensorflow as tf

import input_fns
from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.training.histograms import EXAMPLES, _Gradients


def test_the_gradients_equal_finite_differences_of_the_loss(run, sample):
    """Compares them with finite differences of the loss, at the trained weights."""
    experiment = Experiment.read(run)
    gradients = _Gradients(experiment, sample.train)
    reader = tf.train.load_checkpoint(str(run))
    weights = {name: reader.get_tensor(name) for name in create_network(experiment).weight_shapes()}
    computed = gradients(weights)
    assert {name: value.shape for name, value in computed.items()} == {name: w.shape for name, w in weights.items()}
    images, labels = gradients._examples[0] / 255.0, gradients._examples[1]

    def loss(weights: Dict[str, np.ndarray]) -> float:
        weights64 = {name: value.astype(np.float64) for name, value in weights.items()}
        hidden = np.maximum(images.reshape(-1, 784) @ weights64["dense1/kernel"] + weights64["dense1/bias"], 0)
        logits = hidden @ weights64["logits/kernel"] + weights64["logits/bias"]
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]))

    assert len(labels) == EXAMPLES
    for name, index in (("dense1/bias", (7,)), ("logits/kernel", (3, 4)), ("dense1/kernel", (400, 9))):
        above, below = ({**weights, name: weights[name].astype(np.float64)} for _ in range(2))
        above[name][index] += 1e-4
        below[name][index] -= 1e-4
        assert computed[name][index] == pytest.approx((loss(above) - loss(below)) / 2e-4, rel=1e-2, abs=1e-6)


@pytest.mark.parametrize("shape, examples", [((6, 5, 3), 200), ((300, 200, 3), 3)])
def test_images_of_any_shape_have_gradients_and_large_ones_do_not_fill_the_memory(run, tmp_path, shape, examples):
    count, random = 210 if examples == 200 else 8, np.random.default_rng(0)
    split = split_of(tmp_path, random.integers(0, 256, (count, *shape)).astype(np.uint8))
    experiment = dataclasses.replace(
        Experiment.read(run), image_shape=shape, class_names=("a", "b"), dropout_rate=0.0, train_examples=count
    )
    gradients = _Gradients(experiment, split)
    shapes = create_network(experiment).weight_shapes()
    computed = gradients({name: random.normal(0, 0.1, shape) for name, shape in shapes.items()})
    assert {name: value.shape for name, value in computed.items()} == shapes
    assert len(gradients._examples[1]) == examples and np.abs(computed["dense1/kernel"]).max() > 0


def split_of(folder, images: np.ndarray) -> input_fns.Split:
    """Returns a training split of images whose labels are 0 and 1 by turns."""
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", np.arange(len(images), dtype=np.int32) % 2)
    return input_fns.Split(
        "train", len(images), images.shape[1:], images=folder / "images.npy", labels=folder / "labels.npy"
    )
