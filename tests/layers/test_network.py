"""The networks: exact parameter counts and shapes, layer by layer."""

from typing import Optional

import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist.config.experiment import MODELS, Experiment
from estimator_mnist.layers import network as networks
from estimator_mnist.layers.layers import Dropout

ROWS = {
    "dense": [("flatten", (784,), 0), ("dense1", (128,), 100_480), ("logits", (10,), 1_290)],
    "conv": [
        ("conv1", (24, 24, 64), 1_664),
        ("pool1", (12, 12, 64), 0),
        ("conv2", (10, 10, 96), 55_392),
        ("pool2", (5, 5, 96), 0),
        ("flatten", (2400,), 0),
        ("dense1", (128,), 307_328),
        ("logits", (10,), 1_290),
    ],
    "conv_plain": [
        ("conv1", (24, 24, 64), 1_664),
        ("conv2", (20, 20, 64), 102_464),
        ("flatten", (25600,), 0),
        ("dense1", (128,), 3_276_928),
        ("logits", (10,), 1_290),
    ],
    "lenet5": [
        ("pad", (32, 32, 1), 0),
        ("c1", (28, 28, 6), 156),
        ("s2", (14, 14, 6), 0),
        ("c3", (10, 10, 16), 2_416),
        ("s4", (5, 5, 16), 0),
        ("c5", (1, 1, 120), 48_120),
        ("flatten", (120,), 0),
        ("f6", (84,), 10_164),
        ("logits", (10,), 850),
    ],
}


def logits_of(experiment: Experiment, images: np.ndarray, step: Optional[int] = None, parts: int = 1) -> np.ndarray:
    """Returns the logits outside training, or, with a step, as they are in training at that step."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = networks.create(experiment, parts)
        network.build(experiment.seed)
        noise = None
        if step is not None:
            drawn = network.noise(experiment.seed, tf.constant(step, tf.int64), tf.constant(1), len(images))
            noise = {name: of_layer.of_step(of_layer.bits[0]) for name, of_layer in drawn.items()}
        logits = network(tf.constant(images), noise)
        session.run(tf.compat.v1.global_variables_initializer())
        return session.run(logits)


@pytest.mark.parametrize("model", MODELS)
def test_every_layer_has_its_shape_and_parameters(model):
    assert networks.create(Experiment(model=model)).table() == ROWS[model]


def test_dense_has_101770_parameters():
    assert networks.create(Experiment(model="dense", dropout_rate=0.2)).parameters == 101_770


def test_strides_take_the_place_of_pooling():
    rows = networks.create(Experiment(model="conv", downsample="stride")).table()
    assert [(row.layer, row.output_shape) for row in rows[:3]] == [
        ("conv1", (12, 12, 64)),
        ("conv2", (5, 5, 96)),
        ("flatten", (2400,)),
    ]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("downsample, parts", [("pool", 1), ("pool", 2), ("stride", 1)])
def test_the_variables_and_the_output_are_as_the_table_says(model, downsample, parts):
    experiment = Experiment(model=model, downsample=downsample, class_names=tuple("abc"))
    with tf.Graph().as_default():
        network = networks.create(experiment, parts)
        network.build(0)
        sizes = [sum(part.shape.num_elements() for part in made.parts) for made in network.variables.values()]
        assert sizes == [np.prod(made.shape) for made in network.variables.values()]
        assert sum(sizes) == network.parameters
        logits = network(tf.compat.v1.placeholder(tf.float32, [None, 28, 28, 1]))
        assert logits.shape.as_list() == [None, 3] and logits.dtype == tf.float32


def test_weights_are_the_seed_s():
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    first, again, other = (logits_of(Experiment(seed=seed), images) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_network_in_parts_computes_the_same():
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    whole = logits_of(Experiment(model="dense"), images)
    assert np.allclose(whole, logits_of(Experiment(model="dense"), images, parts=2), atol=1e-5)


def test_images_may_come_without_their_channel():
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    assert np.array_equal(logits_of(Experiment(), images), logits_of(Experiment(), images[..., 0]))


def test_dropout_is_a_function_of_seed_and_step_and_off_outside_training():
    images = np.random.default_rng(0).random((64, 28, 28, 1), np.float32)
    experiment = Experiment(model="dense", dropout_rate=0.5)
    plain = logits_of(experiment, images)
    assert np.array_equal(plain, logits_of(Experiment(model="dense"), images))
    step3, again, step4 = (logits_of(experiment, images, step) for step in (3, 3, 4))
    assert np.array_equal(step3, again) and not np.array_equal(step3, step4) and not np.array_equal(step3, plain)


@pytest.mark.parametrize("rate", [0.001, 0.2, 0.5, 0.999])
@pytest.mark.parametrize("batch_size, units", [(64, 128), (3, 84), (1, 1)])
def test_the_noise_of_a_step_is_the_same_whatever_steps_are_drawn_with_it(rate, batch_size, units):
    dropout = Dropout("dropout", rate)

    def noise(seed, first_step, steps):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            drawn = dropout.noise((units,), seed, tf.constant(first_step, tf.int64), tf.constant(steps), batch_size)
            return np.stack([session.run(drawn.of_step(drawn.bits[step])) for step in range(steps)])

    together = noise(5, 10, 6)
    assert np.array_equal(together[2:5], noise(5, 12, 3))
    assert set(np.unique(together)) <= {0.0, together.max()}
    if batch_size * units > 1000:
        assert not np.array_equal(together, noise(6, 10, 6)) or rate < 0.01 or rate > 0.99
        many = noise(5, 0, 40)
        assert (many == 0).mean() == pytest.approx(rate, abs=0.005)
        if 0.1 < rate < 0.9:
            assert many.mean() == pytest.approx(1.0, abs=0.01)
