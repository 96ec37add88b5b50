"""The EstimatorSpec of each mode and model, by shape and dtype, and the losses and steps behind it, by value."""

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist.architectures import ARCHITECTURES
from estimator_mnist.config.experiment import MODELS, OPTIMIZERS, Experiment
from estimator_mnist.model.model_fn import model_fn
from estimator_mnist.model.training_progress import EPOCH_LOSS

ANYWHERE = [name for name in OPTIMIZERS if name != "lecun"]  # of all models
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
    made = spec(TRAIN, model=model, dropout_rate=0.3)
    assert made.mode == TRAIN
    assert made.loss.shape == () and made.loss.dtype == tf.float32
    assert isinstance(made.train_op, tf.Operation)
    assert not made.eval_metric_ops and not made.predictions


@pytest.mark.parametrize("model", MODELS)
def test_the_evaluation_spec_has_the_accuracy_of_all_and_of_each_class(model):
    made = spec(EVAL, model=model)
    assert made.loss.shape == () and made.loss.dtype == tf.float32
    assert set(made.eval_metric_ops) == {"accuracy"} | {f"accuracy_of_class/{digit}" for digit in range(10)}
    for value, _ in made.eval_metric_ops.values():
        assert value.shape == () and value.dtype == tf.float32


@pytest.mark.parametrize("model", MODELS)
def test_the_prediction_spec_has_logits_probabilities_and_classes(model):
    made = spec(PREDICT, labels=None, model=model)
    shapes = {name: (tensor.shape.as_list(), tensor.dtype) for name, tensor in made.predictions.items()}
    assert shapes == {
        "logits": ([100, 10], tf.float32),
        "probabilities": ([100, 10], tf.float32),
        "classes": ([100], tf.int64),
    }
    assert made.loss is None and made.train_op is None


def test_predictions_agree_with_each_other():
    made = spec(PREDICT, labels=None)
    values = initialized().run(made.predictions)
    exponentials = np.exp(values["logits"] - values["logits"].max(1, keepdims=True))
    assert np.allclose(values["probabilities"], exponentials / exponentials.sum(1, keepdims=True), atol=1e-6)
    assert np.array_equal(values["classes"], values["logits"].argmax(1))


def expected_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    log_sum = np.log(np.exp(logits.astype(np.float64)).sum(1, keepdims=True))
    return float(-(targets * (logits - log_sum)).sum(1).mean())


def test_the_loss_is_the_sparse_softmax_cross_entropy():
    made, predicted = spec(EVAL), None
    with tf.compat.v1.variable_scope("", reuse=True):
        predicted = spec(PREDICT, labels=None)
    session = initialized()
    loss, logits = session.run([made.loss, predicted.predictions["logits"]])
    assert loss == pytest.approx(expected_loss(logits, np.eye(10)[LABELS]), rel=1e-5)
    assert loss == pytest.approx(np.log(10), abs=0.5)


def test_label_smoothing_acts_in_training_only():
    smooth = {"label_smoothing": 0.2}
    made = spec(TRAIN, batch_size=100, **smooth)
    with tf.compat.v1.variable_scope("", reuse=True):
        evaluated, logits = spec(EVAL, **smooth), spec(PREDICT, labels=None).predictions["logits"]
    session = initialized()
    eval_loss, logits = session.run([evaluated.loss, logits])
    loss = session.run(made.loss)  # apart from the others: it comes with a step
    targets = np.eye(10)[LABELS]
    assert loss == pytest.approx(expected_loss(logits, 0.8 * targets + 0.02), rel=1e-5)
    assert eval_loss == pytest.approx(expected_loss(logits, targets), rel=1e-5)


@pytest.mark.parametrize("mode", [TRAIN, EVAL])
def test_one_hot_labels_give_the_same_loss(mode):
    made = spec(mode)
    with tf.compat.v1.variable_scope("again"):
        one_hot = spec(mode, labels=np.eye(10, dtype=np.float32)[LABELS])
    session = initialized()
    for target, source in zip(tf.compat.v1.trainable_variables("again/"), tf.compat.v1.trainable_variables()):
        session.run(target.assign(source))
    first, second = session.run([made.loss, one_hot.loss])
    assert first == pytest.approx(second, rel=1e-6)


def test_every_example_has_equal_weight_in_an_evaluation_with_a_smaller_last_batch():
    dataset = tf.data.Dataset.from_tensor_slices(({"image": IMAGES}, LABELS)).batch(64)
    features, labels = tf.compat.v1.data.make_one_shot_iterator(dataset).get_next()
    experiment = Experiment(model="dense", test_examples=100, eval_batch_size=64)
    made = model_fn(features, labels, EVAL, {"experiment": experiment})
    with tf.compat.v1.variable_scope("", reuse=True):
        whole = spec(EVAL, eval_batch_size=100)
    session = initialized()
    batches = [session.run([made.loss, made.eval_metric_ops["accuracy"][1]])[0] for _ in range(2)]
    assert np.mean(batches) == pytest.approx(session.run(whole.loss), rel=1e-5)
    session.run([update for _, update in whole.eval_metric_ops.values()])


def test_the_accuracy_of_a_class_counts_only_its_examples():
    made = spec(EVAL)
    with tf.compat.v1.variable_scope("", reuse=True):
        classes = spec(PREDICT, labels=None).predictions["classes"]
    session = initialized()
    session.run([update for _, update in made.eval_metric_ops.values()])
    values = session.run({name: value for name, (value, _) in made.eval_metric_ops.items()})
    right = session.run(classes) == LABELS
    assert values["accuracy"] == pytest.approx(right.mean())
    for digit in range(10):
        assert values[f"accuracy_of_class/{digit}"] == pytest.approx(right[digit == LABELS].mean())


@pytest.mark.parametrize("optimizer", ANYWHERE)
@pytest.mark.parametrize("model", MODELS)
def test_training_lowers_the_loss(model, optimizer, sample):
    from input_fns.sources import idx

    images, labels = idx.read_split(sample.train.images, sample.train.labels)
    images, labels = images[:64, ..., None].astype(np.float32) / 255, labels[:64].astype(np.int32)
    rate = {"adam": 0.001, "sgd": 0.05, "momentum": 0.01}[optimizer]
    made = spec(
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
    losses = [session.run([made.loss, made.train_op])[0] for _ in range(20)]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("average_decay", [0.0, 0.9])
@pytest.mark.parametrize("optimizer", ANYWHERE)
def test_a_block_of_batches_trains_bitwise_like_its_single_batches(optimizer, average_decay):
    def trained(rows_in_element: int, steps_per_loop: int, calls: int) -> dict:
        """Trains on four batches, 32, 32, 32 and 4, that come in so many session calls."""
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
            made = model_fn(features, labels, TRAIN, {"experiment": experiment})
            session = initialized()
            for _ in range(calls):
                session.run(made.train_op)
            return {variable.op.name: session.run(variable) for variable in tf.compat.v1.global_variables()}

    in_a_block, one_by_one = trained(128, 4, 1), trained(32, 1, 4)
    assert set(in_a_block) == set(one_by_one) and in_a_block["global_step"] == 4 and in_a_block[EPOCH_LOSS][0] > 0
    for name, value in in_a_block.items():
        assert np.array_equal(value, one_by_one[name]), name


@pytest.mark.parametrize("model", MODELS)
def test_a_step_divided_among_the_cores_equals_the_undivided_step(model, monkeypatch):
    def trained() -> dict:
        with tf.Graph().as_default():
            made = spec(TRAIN, model=model, batch_size=100, train_examples=100, optimizer="sgd", dropout_rate=0.5)
            session = initialized()
            session.run(made.train_op)
            path = tf.compat.v1.train.Saver().save(session, str(tmp / "model"))
            reader = tf.train.load_checkpoint(path)
            return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}

    with tempfile.TemporaryDirectory() as folder:
        tmp = Path(folder)
        divided = trained()
        undivided = dataclasses.replace(ARCHITECTURES[model], partitions=1, shards=1)
        monkeypatch.setitem(ARCHITECTURES, model, undivided)
        whole = trained()
    assert set(divided) == set(whole)
    for name, value in whole.items():
        assert divided[name].shape == value.shape and np.allclose(divided[name], value, atol=1e-6), name
