"""Training with a user's loss, optimizer, metric and augmentation, compared with the built-in ones."""

import dataclasses
from pathlib import Path
from typing import Any, Dict

import numpy as np
import pytest
from support import USER_OPTIMIZERS, assert_equal_to_the_bit, checkpoint

from estimator_mnist.config import assembly
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.training import estimator as estimators
from estimator_mnist.training.specs import training_spec

FUNCTIONS = (
    USER_OPTIMIZERS
    + """
import tensorflow as tf

def cross_entropy(labels, logits):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)

def macro_recall(labels, logits):
    hits = tf.cast(tf.equal(tf.argmax(logits, 1, output_type=tf.int32), labels), tf.float32)
    one_hot = tf.one_hot(labels, 10)
    share, update = tf.compat.v1.metrics.mean_tensor(tf.math.divide_no_nan(
        tf.reduce_sum(one_hot * hits[:, None], 0), tf.reduce_sum(one_hot, 0)), weights=tf.reduce_sum(one_hot, 0))
    return tf.reduce_mean(share), update

class Adam:
    slots = ("m", "v")

    def update(self, weight, gradient, slots, learning_rate, step):
        m = 0.9 * slots["m"] + 0.1 * gradient
        v = 0.999 * slots["v"] + 0.001 * gradient ** 2
        rate = learning_rate * tf.sqrt(1.0 - 0.999 ** (step + 1.0)) / (1.0 - 0.9 ** (step + 1.0))
        return weight - rate * m / (tf.sqrt(v) + 1e-7), {"m": m, "v": v}

def unchanged(image, seed):
    return image

def noisy(image, seed):
    noise = tf.random.stateless_uniform(image.shape, seed, 0, 60, tf.int32)
    return tf.cast(tf.minimum(255, tf.cast(image, tf.int32) + noise), tf.uint8)
"""
)
STEPS = 40


@pytest.fixture
def functions(tmp_path: Path) -> str:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    return f"{tmp_path}/functions.py"


def trained(sample: Any, folder: Path, until: int = STEPS, **settings: Any) -> Dict[str, np.ndarray]:
    """Trains to a step, from wherever the folder stands, and returns every variable of the checkpoint."""
    settings = {"model": "dense", "learning_rate_schedule": "constant", "train_steps": STEPS, "evals": 2, **settings}
    experiment = assembly.experiment(sample, settings)
    estimator = estimators.create(experiment, folder, sample)
    start = int(estimator.get_variable_value("global_step")) if estimator.latest_checkpoint() else 0
    spec = training_spec(experiment, sample, start, [])
    estimator.train(spec.input_fn, max_steps=until)
    return checkpoint(folder)


@pytest.mark.parametrize("name, built_in", [("Sgd", "sgd"), ("Momentum", "momentum"), ("Adam", "adam")])
def test_a_user_s_optimizer_learns_what_the_built_in_one_learns(sample, functions, tmp_path, name, built_in):
    rate = {"learning_rate": 0.003 if built_in == "adam" else 0.05}
    own = trained(sample, tmp_path / "own", optimizer=f"{functions}:{name}", **rate)
    usual = trained(sample, tmp_path / "usual", optimizer=built_in, **rate)
    for weight in ("dense1/kernel", "dense1/bias", "logits/kernel", "logits/bias"):
        np.testing.assert_allclose(own[weight], usual[weight], rtol=1e-3, atol=1e-5)


def test_a_user_s_optimizer_gives_the_same_bits_in_any_loop_and_after_a_stop(sample, functions, tmp_path):
    settings = {"optimizer": f"{functions}:Adam", "dropout_rate": 0.2}
    unbroken = trained(sample, tmp_path / "unbroken", **settings)
    assert {"dense1/kernel/Adam/m", "dense1/kernel/Adam/v"} <= set(unbroken)
    assert_equal_to_the_bit(trained(sample, tmp_path / "single", iterations_per_loop=1, **settings), unbroken)
    trained(sample, tmp_path / "stopped", until=STEPS // 2, **settings)
    assert_equal_to_the_bit(trained(sample, tmp_path / "stopped", **settings), unbroken)


def test_a_user_s_loss_gives_the_gradients_of_the_built_in_one(sample, functions, tmp_path):
    own = trained(sample, tmp_path / "own", loss=f"{functions}:cross_entropy")
    usual = trained(sample, tmp_path / "usual")
    for name in ("dense1/kernel", "logits/kernel", "epoch_loss"):
        np.testing.assert_allclose(own[name], usual[name], rtol=1e-4, atol=1e-6)


def test_a_user_s_metric_is_evaluated_over_the_whole_split(sample, functions, tmp_path):
    experiment = assembly.experiment(
        sample, {"model": "dense", "metric": f"{functions}:macro_recall", "train_steps": STEPS, "eval_batch_size": 300}
    )
    trained(sample, tmp_path, metric=f"{functions}:macro_recall", eval_batch_size=300)
    estimator = estimators.create(experiment, tmp_path, sample)
    figures = estimator.evaluate(estimator.split_input_fn)
    by_class = [figures[f"accuracy_of_class/{name}"] for name in sample.class_names]
    assert 0.3 < figures["macro_recall"] == pytest.approx(float(np.mean(by_class)), abs=1e-6)


def test_a_user_s_augmentation_changes_what_is_trained_on(sample, functions, tmp_path):
    usual = trained(sample, tmp_path / "usual")
    assert_equal_to_the_bit(trained(sample, tmp_path / "unchanged", augment=f"{functions}:unchanged"), usual)
    noisy = trained(sample, tmp_path / "noisy", augment=f"{functions}:noisy")
    assert not np.array_equal(noisy["dense1/kernel"], usual["dense1/kernel"])
    settings = {"augment": f"{functions}:noisy", "iterations_per_loop": 7}
    assert_equal_to_the_bit(trained(sample, tmp_path / "loops", **settings), noisy)


def test_an_experiment_without_user_functions_names_no_files():
    assert Experiment().user_code == {} and dataclasses.replace(Experiment(), metric="").user_code == {}
