"""The EstimatorSpec of each mode and model, by shape and dtype, and the losses and steps behind it, by value."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist.architectures import ARCHITECTURES
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import MODELS, OPTIMIZERS
from estimator_mnist.model.model_fn import model_fn
from estimator_mnist.model.training_progress import EPOCH_LOSS

OPTIMIZERS_OF_ALL_MODELS = [name for name in OPTIMIZERS if name != "lecun"]
TRAIN, EVAL, PREDICT = tf.estimator.ModeKeys.TRAIN, tf.estimator.ModeKeys.EVAL, tf.estimator.ModeKeys.PREDICT
RNG = np.random.default_rng(0)
IMAGES, LABELS = RNG.random((100, 28, 28, 1), np.float32), (np.arange(100) % 10).astype(np.int32)


def spec(mode, labels=LABELS, images=IMAGES, **fields):
    experiment = Experiment(**{"model": "dense", "train_examples": 100, "test_examples": 100, **fields})
    labels = None if labels is None else tf.constant(labels)
    return model_fn({"image": tf.constant(images)}, labels, mode, {"experiment": experiment})


@pytest.fixture(autouse=True)
def graph():
    with tf.Graph().as_default() as graph:
        yield graph


def initialized():
    session = tf.compat.v1.Session()
    session.run([tf.compat.v1.global_variables_initializer(), tf.compat.v1.local_variables_initializer()])
    return session


@pytest.mark.parametrize("model", MODELS)
def test_the_training_spec_has_a_scalar_loss_and_a_train_op(model):
    estimator_spec = spec(TRAIN, model=model, dropout_rate=0.3)
    assert estimator_spec.mode == TRAIN
    assert estimator_spec.loss.shape == () and estimator_spec.loss.dtype == tf.float32
    assert isinstance(estimator_spec.train_op, tf.Operation)
    assert not estimator_spec.eval_metric_ops and not estimator_spec.predictions


@pytest.mark.parametrize("model", MODELS)
def test_the_evaluation_spec_has_the_accuracy_of_all_and_of_each_class(model):
    estimator_spec = spec(EVAL, model=model)
    assert estimator_spec.loss.shape == () and estimator_spec.loss.dtype == tf.float32
    assert set(estimator_spec.eval_metric_ops) == {"accuracy"} | {f"accuracy_of_class/{digit}" for digit in range(10)}
    for value, _ in estimator_spec.eval_metric_ops.values():
        assert value.shape == () and value.dtype == tf.float32


@pytest.mark.parametrize("model", MODELS)
def test_the_prediction_spec_has_logits_probabilities_and_classes(model):
    estimator_spec = spec(PREDICT, labels=None, model=model)
    shapes = {name: (tensor.shape.as_list(), tensor.dtype) for name, tensor in estimator_spec.predictions.items()}
    assert shapes == {
        "logits": ([100, 10], tf.float32),
        "probabilities": ([100, 10], tf.float32),
        "classes": ([100], tf.int64),
    }
    assert estimator_spec.loss is None and estimator_spec.train_op is None


def test_predictions_agree_with_each_other():
    estimator_spec = spec(PREDICT, labels=None)
    values = initialized().run(estimator_spec.predictions)
    exponentials = np.exp(values["logits"] - values["logits"].max(1, keepdims=True))
    assert np.allclose(values["probabilities"], exponentials / exponentials.sum(1, keepdims=True), atol=1e-6)
    assert np.array_equal(values["classes"], values["logits"].argmax(1))


def expected_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    log_sum = np.log(np.exp(logits.astype(np.float64)).sum(1, keepdims=True))
    return float(-(targets * (logits - log_sum)).sum(1).mean())


def test_the_loss_is_the_sparse_softmax_cross_entropy():
    estimator_spec, predicted = spec(EVAL), None
    with tf.compat.v1.variable_scope("", reuse=True):
        predicted = spec(PREDICT, labels=None)
    session = initialized()
    loss, logits = session.run([estimator_spec.loss, predicted.predictions["logits"]])
    assert loss == pytest.approx(expected_loss(logits, np.eye(10)[LABELS]), rel=1e-5)
    assert loss == pytest.approx(np.log(10), abs=0.5)


def test_label_smoothing_acts_in_training_only():
    smooth = {"label_smoothing": 0.2}
    estimator_spec = spec(TRAIN, batch_size=100, **smooth)
    with tf.compat.v1.variable_scope("", reuse=True):
        evaluated, logits = spec(EVAL, **smooth), spec(PREDICT, labels=None).predictions["logits"]
    session = initialized()
    eval_loss, logits = session.run([evaluated.loss, logits])
    loss = session.run(estimator_spec.loss)  # in a call of its own, because it comes with a training step
    targets = np.eye(10)[LABELS]
    assert loss == pytest.approx(expected_loss(logits, 0.8 * targets + 0.02), rel=1e-5)
    assert eval_loss == pytest.approx(expected_loss(logits, targets), rel=1e-5)


@pytest.mark.parametrize("mode", [TRAIN, EVAL])
def test_one_hot_labels_give_the_same_loss(mode):
    estimator_spec = spec(mode)
    with tf.compat.v1.variable_scope("again"):
        one_hot = spec(mode, labels=np.eye(10, dtype=np.float32)[LABELS])
    session = initialized()
    for target, source in zip(tf.compat.v1.trainable_variables("again/"), tf.compat.v1.trainable_variables()):
        session.run(target.assign(source))
    first, second = session.run([estimator_spec.loss, one_hot.loss])
    assert first == pytest.approx(second, rel=1e-6)


def test_every_example_has_equal_weight_in_an_evaluation_with_a_smaller_last_batch():
    dataset = tf.data.Dataset.from_tensor_slices(({"image": IMAGES}, LABELS)).batch(64)
    features, labels = tf.compat.v1.data.make_one_shot_iterator(dataset).get_next()
    experiment = Experiment(model="dense", test_examples=100, eval_batch_size=64)
    estimator_spec = model_fn(features, labels, EVAL, {"experiment": experiment})
    with tf.compat.v1.variable_scope("", reuse=True):
        full_batch = spec(EVAL, eval_batch_size=100)
    session = initialized()
    batches = [session.run([estimator_spec.loss, estimator_spec.eval_metric_ops["accuracy"][1]])[0] for _ in range(2)]
    assert np.mean(batches) == pytest.approx(session.run(full_batch.loss), rel=1e-5)
    session.run([update for _, update in full_batch.eval_metric_ops.values()])


def test_the_accuracy_of_a_class_counts_only_its_examples():
    estimator_spec = spec(EVAL)
    with tf.compat.v1.variable_scope("", reuse=True):
        classes = spec(PREDICT, labels=None).predictions["classes"]
    session = initialized()
    session.run([update for _, update in estimator_spec.eval_metric_ops.values()])
    values = session.run({name: value for name, (value, _) in estimator_spec.eval_metric_ops.items()})
    is_correct = session.run(classes) == LABELS
    assert values["accuracy"] == pytest.approx(is_correct.mean())
    for digit in range(10):
        assert values[f"accuracy_of_class/{digit}"] == pytest.approx(is_correct[digit == LABELS].mean())


@pytest.mark.parametrize("optimizer", OPTIMIZERS_OF_ALL_MODELS)
@pytest.mark.parametrize("model", MODELS)
def test_training_lowers_the_loss(model, optimizer, sample):
    images, labels = (array[:64] for array in sample.train.arrays())
    images = images.astype(np.float32) / 255
    rate = {"adam": 0.001, "sgd": 0.05, "momentum": 0.01}[optimizer]
    estimator_spec = spec(
        TRAIN,
        labels=labels,
        images=images,
        model=model,
        optimizer=optimizer,
        learning_rate=rate,
        train_examples=64,
        train_epochs=100,
    )
    session = initialized()
    losses = [session.run([estimator_spec.loss, estimator_spec.train_op])[0] for _ in range(20)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("average_decay", [0.0, 0.9])
@pytest.mark.parametrize("optimizer", OPTIMIZERS_OF_ALL_MODELS)
def test_a_block_of_batches_trains_bitwise_like_its_single_batches(optimizer, average_decay):
    def trained(rows_in_element: int, steps_per_loop: int, calls: int) -> dict:
        """Trains on four batches of 32, 32, 32 and 4 in `calls` session calls, and returns the variables by name."""
        experiment = Experiment(
            model="dense",
            train_examples=100,
            optimizer=optimizer,
            batch_size=32,
            dropout_rate=0.5,
            learning_rate_schedule="one_cycle",
            iterations_per_loop=steps_per_loop,
            average_decay=average_decay,
        )
        with tf.Graph().as_default():
            dataset = tf.data.Dataset.from_tensor_slices(({"image": IMAGES}, LABELS)).batch(rows_in_element)
            features, labels = tf.compat.v1.data.make_one_shot_iterator(dataset).get_next()
            estimator_spec = model_fn(features, labels, TRAIN, {"experiment": experiment})
            session = initialized()
            for _ in range(calls):
                session.run(estimator_spec.train_op)
            return {variable.op.name: session.run(variable) for variable in tf.compat.v1.global_variables()}

    in_a_block, one_by_one = trained(128, 4, 1), trained(32, 1, 4)
    assert set(in_a_block) == set(one_by_one) and in_a_block["global_step"] == 4 and in_a_block[EPOCH_LOSS][0] > 0
    for name, value in in_a_block.items():
        assert np.array_equal(value, one_by_one[name]), name


@pytest.mark.parametrize("model", MODELS)
def test_a_step_divided_among_the_cores_equals_the_undivided_step(model, monkeypatch):
    def trained() -> dict:
        with tf.Graph().as_default():
            estimator_spec = spec(TRAIN, model=model, batch_size=100, optimizer="sgd", dropout_rate=0.5)
            session = initialized()
            session.run(estimator_spec.train_op)
            path = tf.compat.v1.train.Saver().save(session, str(tmp / "model"))
            reader = tf.train.load_checkpoint(path)
            return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}

    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder)
        divided = trained()
        record = dataclasses.replace(ARCHITECTURES[model], partitions=1, shards=1)
        monkeypatch.setitem(ARCHITECTURES, model, record)
        undivided = trained()
    assert set(divided) == set(undivided)
    for name, value in undivided.items():
        assert divided[name].shape == value.shape and np.allclose(divided[name], value, atol=1e-6), name
