"""The exponential moving average of the weights: its values, its use, and that it does not change the training."""

import json

import numpy as np
import pytest
import tensorflow as tf
from support import RUN, checkpoint

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import MODELS
from estimator_mnist.model import weight_ema
from estimator_mnist.model.model_fn import model_fn

TRAIN, PREDICT = tf.estimator.ModeKeys.TRAIN, tf.estimator.ModeKeys.PREDICT
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.random((96, 28, 28, 1), np.float32), (np.arange(96) % 10).astype(np.int32)


def trained(decay: float, model: str, steps: int, folder) -> dict:
    """Returns the variables of a checkpoint after some steps on 32 images each, all in one session call."""
    experiment = Experiment(model=model, train_examples=96, batch_size=32, average_decay=decay, iterations_per_loop=3)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        images, labels = IMAGES[: 32 * steps], LABELS[: 32 * steps]
        estimator_spec = model_fn(
            {"image": tf.constant(images)}, tf.constant(labels), TRAIN, {"experiment": experiment}
        )
        session.run(tf.compat.v1.global_variables_initializer())
        if steps:
            session.run(estimator_spec.train_op)
        tf.compat.v1.train.Saver(sharded=True).save(session, str(folder / "model.ckpt"))
    return checkpoint(folder)


@pytest.mark.parametrize("model", MODELS)
def test_the_average_follows_the_weights_without_changing_their_training(model, tmp_path):
    decay = 0.6
    plain = [trained(0.0, model, steps, tmp_path) for steps in (1, 2, 3)]
    averaged = trained(decay, model, 3, tmp_path)
    names = create_network(Experiment(model=model)).weight_shapes()
    assert set(averaged) > {name + weight_ema.TRAINED for name in names}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        network = create_network(Experiment(model=model))
        network.build(0)
        session.run(tf.compat.v1.global_variables_initializer())
        initial = {"/".join(key): session.run(parameter.parts[0]) for key, parameter in network.variables.items()}
    for name in names:
        assert np.array_equal(averaged[name + weight_ema.TRAINED], plain[2][name])
        expected = initial[name].astype(np.float64)
        for step, weights in enumerate(plain):
            share = max(1 - decay, 9 / (10 + step))
            expected += share * (weights[name] - expected)
        assert np.allclose(averaged[name], expected, atol=1e-6) and not np.array_equal(expected, plain[2][name])


def test_shares_decrease_to_one_minus_the_decay():
    shares = weight_ema.shares(0.99, tf.constant([0, 10, 890, 891, 10**6], tf.int64)).numpy()
    assert shares == pytest.approx([0.9, 0.45, 0.01, 0.01, 0.01], abs=1e-6)


def test_evaluation_export_and_prediction_use_the_average(run, cli, sample, tmp_path):
    flags = [*RUN, "--average_decay", "0.99", "--model_dir", "run"]
    done = cli(*flags)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    folder = tmp_path / "run"
    averaged_run, plain = checkpoint(folder), checkpoint(run)
    results, plain_results = (json.loads((place / "results.json").read_text()) for place in (folder, run))
    # The training is the same. The evaluated weights differ.
    assert np.array_equal(averaged_run["dense1/kernel/trained"], plain["dense1/kernel"])
    assert results["train_loss"] == plain_results["train_loss"] and results["untrained"] == plain_results["untrained"]
    assert results["final"] != plain_results["final"] and results["final"]["test_accuracy"] > 0.85

    predict = tf.saved_model.load(str(next((folder / "export" / "final").iterdir()))).signatures["predict"]
    (kernel,) = [variable for variable in predict.variables if variable.name == "dense1/kernel:0"]
    assert np.array_equal(kernel.numpy(), averaged_run["dense1/kernel"])
    evaluated = json.loads(cli("evaluate", "--model_dir", "run", "--json").stdout)
    assert evaluated["accuracy"] == results["final"]["test_accuracy"]
    exported = cli("export", "--model_dir", "run", "--formats", "tflite", "--json")
    assert exported.returncode == 0, exported.stderr
    for row in json.loads(exported.stdout):
        assert row["accuracy"] == pytest.approx(results["final"]["test_accuracy"])
