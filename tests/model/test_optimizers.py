"""The optimizers, compared with Keras's, and the learning rate schedules."""

import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import OPTIMIZERS, SCHEDULES
from estimator_mnist.layers import Dense, Flatten
from estimator_mnist.layers.network import Network
from estimator_mnist.model.optimizers import Optimizer, step_scalars
from estimator_mnist.model.schedules import learning_rate

STEPS = 5
START = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)


def gradients(step: int) -> np.ndarray:
    return np.random.default_rng(step).standard_normal((3, 4)).astype(np.float32)


def updated_by_project(optimizer: str) -> np.ndarray:
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = Network([Flatten("flatten"), Dense("logits", 4)], (1, 3, 1))
        network.build(seed=0)
        variable = network.variables["logits", "kernel"].parts[0]
        gradient, step = tf.compat.v1.placeholder(tf.float32, [3, 4]), tf.compat.v1.placeholder(tf.int64, [])
        experiment = Experiment(optimizer=optimizer, learning_rate=0.01)
        scalars = tf.unstack(step_scalars(experiment, step[tf.newaxis])[0])
        update = Optimizer(experiment, network).apply([gradient, tf.zeros(4)], scalars)
        session.run(tf.compat.v1.global_variables_initializer())
        session.run(variable.assign(START))
        for number in range(STEPS):
            session.run(update, {gradient: gradients(number), step: number})
        return session.run(variable)


def updated_by_keras(optimizer: str) -> np.ndarray:
    reference = {
        "adam": lambda: tf.keras.optimizers.Adam(0.01),
        "sgd": lambda: tf.keras.optimizers.SGD(0.01),
        "momentum": lambda: tf.keras.optimizers.SGD(0.01, momentum=0.9),
    }[optimizer]()
    variable = tf.Variable(START)
    for number in range(STEPS):
        reference.apply_gradients([(tf.constant(gradients(number)), variable)])
    return variable.numpy()


@pytest.mark.parametrize("optimizer", [name for name in OPTIMIZERS if name != "lecun"])  # Keras has none like it
def test_updates_equal_those_of_keras(optimizer):
    updated = updated_by_project(optimizer)
    assert np.abs(updated - START).max() > 0.01
    assert np.allclose(updated, updated_by_keras(optimizer), atol=1e-6)


def test_schedules_start_peak_and_end_where_they_should():
    def rates(schedule):
        experiment = Experiment(learning_rate=0.5, learning_rate_schedule=schedule, train_steps=100)
        with tf.compat.v1.Session() as session:
            return session.run(learning_rate(experiment, tf.range(100, dtype=tf.int64))).tolist()

    assert set(rates("constant")) == {np.float32(0.5)}
    cosine, cycle = rates("cosine"), rates("one_cycle")
    assert cosine[0] == 0.5 and cosine[50] == pytest.approx(0.25) and 0 < cosine[99] < 0.001
    assert np.argmax(cycle) in (19, 20) and max(cycle) == pytest.approx(0.5, rel=0.03)
    assert 0 < cycle[0] < 0.02 and 0 < cycle[99] < 0.01
    assert set(SCHEDULES) == {"constant", "cosine", "one_cycle", "paper"}  # the last: test_lenet5_1998.py
