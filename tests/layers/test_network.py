"""The built-in networks: exact parameter counts and shapes, layer by layer, and what their outputs depend on."""

from typing import Optional

import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import MODELS
from estimator_mnist.layers import Dropout

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
    """Returns the logits outside training, or, with a step, those of that training step."""
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = create_network(experiment, parts)
        network.build(experiment.seed)
        masks = None
        if step is not None:
            drawn = network.dropout_masks(experiment.seed, tf.constant(step, tf.int64), tf.constant(1), len(images))
            masks = {name: of_layer.of_step(of_layer.bits[0]) for name, of_layer in drawn.items()}
        logits = network(tf.constant(images), masks)
        session.run(tf.compat.v1.global_variables_initializer())
        return session.run(logits)


@pytest.mark.parametrize("model", ROWS)
def test_every_layer_has_its_shape_and_parameters(model):
    assert create_network(Experiment(model=model)).table() == ROWS[model]


def test_dense_has_101770_parameters():
    assert create_network(Experiment(model="dense", dropout_rate=0.2)).parameters == 101_770


def test_strides_replace_pooling():
    rows = create_network(Experiment(model="conv", downsample="stride")).table()
    assert [(row.layer, row.output_shape) for row in rows[:3]] == [
        ("conv1", (12, 12, 64)),
        ("conv2", (5, 5, 96)),
        ("flatten", (2400,)),
    ]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("downsample, parts", [("pool", 1), ("pool", 2), ("stride", 1)])
def test_variables_and_logits_have_the_shapes_of_the_table(model, downsample, parts):
    options = {"downsample": downsample} if model == "conv" else {}
    experiment = Experiment(model=model, class_names=tuple("abc"), **options)
    with tf.Graph().as_default():
        network = create_network(experiment, parts)
        network.build(0)
        parameters = network.variables.values()
        sizes = [sum(part.shape.num_elements() for part in parameter.parts) for parameter in parameters]
        assert sizes == [np.prod(parameter.shape) for parameter in parameters]
        assert sum(sizes) == network.parameters
        logits = network(tf.compat.v1.placeholder(tf.float32, [None, 28, 28, 1]))
        assert logits.shape.as_list() == [None, 3] and logits.dtype == tf.float32


def test_initial_weights_are_a_function_of_the_seed():
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    first, again, other = (logits_of(Experiment(seed=seed), images) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_partitions_do_not_change_the_logits():
    images = np.random.default_rng(0).random((4, 28, 28, 1), np.float32)
    unpartitioned = logits_of(Experiment(model="dense"), images)
    assert np.allclose(unpartitioned, logits_of(Experiment(model="dense"), images, parts=2), atol=1e-5)


def test_images_may_come_without_their_channel_axis():
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
def test_the_mask_of_a_step_does_not_depend_on_the_steps_drawn_with_it(rate, batch_size, units):
    dropout = Dropout("dropout", rate)

    def masks(seed, first_step, steps):
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            drawn = dropout.masks((units,), seed, tf.constant(first_step, tf.int64), tf.constant(steps), batch_size)
            return np.stack([session.run(drawn.of_step(drawn.bits[step])) for step in range(steps)])

    together = masks(5, 10, 6)
    assert np.array_equal(together[2:5], masks(5, 12, 3))
    assert set(np.unique(together)) <= {0.0, together.max()}
    if batch_size * units > 1000:
        assert not np.array_equal(together, masks(6, 10, 6)) or rate < 0.01 or rate > 0.99
        many = masks(5, 0, 40)
        assert (many == 0).mean() == pytest.approx(rate, abs=0.005)
        if 0.1 < rate < 0.9:
            assert many.mean() == pytest.approx(1.0, abs=0.01)
