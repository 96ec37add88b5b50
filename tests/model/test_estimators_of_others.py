"""model_fn in TensorFlow's own Estimator, with input functions that this project has not written, on real digits."""

import os
import re
import subprocess
import sys
from typing import Any, Callable, Dict, Iterator, Tuple

import numpy as np
import pytest
import tensorflow as tf
from support import ROOT, fetch, joined

import input_fns
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model.model_fn import model_fn
from estimator_mnist.training import estimator as kept_graph
from input_fns import InputError

TRAIN, EVAL, PREDICT = tf.estimator.ModeKeys.TRAIN, tf.estimator.ModeKeys.EVAL, tf.estimator.ModeKeys.PREDICT
EXPERIMENT = Experiment(model="dense", batch_size=50, train_examples=500, test_examples=300, train_steps=60)
DOCUMENT = ROOT / "docs" / "your-own-estimator.md"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
Arrays = Tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def digits(sample: input_fns.Data) -> Arrays:
    """The 1,000 digits of the sample's test split, shuffled: uint8 [n, 28, 28, 1] and int32 [n]."""
    images, labels = joined(fetch(lambda: input_fns.eval_input_fn(sample.test, 500)))
    order = np.random.default_rng(0).permutation(len(labels))
    return images[order], labels[order]


@pytest.fixture(scope="module")
def trained(digits: Arrays, tmp_path_factory: pytest.TempPathFactory) -> tf.estimator.Estimator:
    """An Estimator of TensorFlow's after 60 steps on 500 digits."""
    estimator = estimator_in(tmp_path_factory.mktemp("trained"))
    return estimator.train(batches(*first(digits, 500), epochs=6), max_steps=60)


@pytest.fixture(scope="module")
def loss_of_bytes(digits: Arrays) -> Dict[str, float]:
    """The loss of the first 50 digits, as bytes and int32 labels, by mode."""
    return {mode: loss(mode, *first(digits, 50)) for mode in (TRAIN, EVAL)}


def estimator_in(folder: Any, experiment: Experiment = EXPERIMENT, **arguments: Any) -> tf.estimator.Estimator:
    return tf.estimator.Estimator(model_fn, str(folder), params={"experiment": experiment}, **arguments)


def first(digits: Arrays, count: int) -> Arrays:
    return digits[0][:count], digits[1][:count]


def batches(images: np.ndarray, labels: np.ndarray, size: int = 50, epochs: int = 1) -> Callable[[], tf.data.Dataset]:
    """Returns an input_fn as people write it."""
    return lambda: tf.data.Dataset.from_tensor_slices(({"image": images}, labels)).repeat(epochs).batch(size)


def images_only(images: np.ndarray) -> Callable[[], tf.data.Dataset]:
    return lambda: tf.data.Dataset.from_tensor_slices({"image": images}).batch(100)


def logits_of(estimator: tf.estimator.Estimator, images: np.ndarray) -> np.ndarray:
    return np.array([prediction["logits"] for prediction in estimator.predict(images_only(images))])


def cross_entropy(logits: np.ndarray, labels: np.ndarray) -> float:
    exact = logits.astype(np.float64)
    return float(np.mean(np.log(np.exp(exact).sum(1)) - exact[np.arange(len(labels)), labels]))


# The loss of an evaluation.


@pytest.mark.parametrize(
    ("size", "steps", "examples"),
    [(1000, None, 1000), (300, None, 1000), (64, None, 1000), (7, None, 1000), (300, 2, 600), (7, 3, 21), (1, 2, 2)],
)
def test_the_loss_is_the_mean_over_the_examples_at_any_batch_size_and_number_of_steps(
    trained, digits, size, steps, examples
):
    figures = trained.evaluate(batches(*digits, size=size), steps=steps)
    images, labels = first(digits, examples)
    logits = logits_of(trained, images)
    assert figures["loss"] == pytest.approx(cross_entropy(logits, labels), rel=1e-5)
    assert figures["accuracy"] == pytest.approx(np.mean(logits.argmax(1) == labels))


def test_the_loss_is_the_mean_over_the_examples_where_the_evaluation_keeps_its_graph(trained, digits, tmp_path):
    ours = kept_graph.create(EXPERIMENT, tmp_path)
    checkpoint = trained.latest_checkpoint()
    for size in (300, 64, 1000):  # the experiment says 300 examples in batches of 500
        figures = ours.evaluate(batches(*digits, size=size), checkpoint_path=checkpoint)
        assert figures["loss"] == pytest.approx(cross_entropy(logits_of(trained, digits[0]), digits[1]), rel=1e-5)


# Labels.


def column(labels: np.ndarray) -> np.ndarray:
    return labels[:, None].astype(np.int64)


def one_hot(labels: np.ndarray) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[labels]


RIGHT_LABELS: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    **{dtype: (lambda labels, dtype=dtype: labels.astype(dtype)) for dtype in ("uint8", "int8", "uint16", "int64")},
    "column": column,
    "one_hot": one_hot,
    "one_hot_int": lambda labels: one_hot(labels).astype(np.int64),
    "one_hot_bool": lambda labels: one_hot(labels).astype(bool),
}


@pytest.mark.parametrize("mode", [TRAIN, EVAL])
@pytest.mark.parametrize("form", list(RIGHT_LABELS))
def test_every_form_of_labels_gives_the_same_loss(digits, loss_of_bytes, mode, form):
    images, labels = first(digits, 50)
    assert loss(mode, images, RIGHT_LABELS[form](labels)) == loss_of_bytes[mode]


WRONG_LABELS = {
    "float32 [50]": lambda labels: labels.astype(np.float32),
    "float64 [50, 1]": lambda labels: labels[:, None].astype(np.float64),
    "float32 [50, 7]": lambda labels: one_hot(labels)[:, :7],
    "bool [50]": lambda labels: labels > 4,
    "string [50]": lambda labels: labels.astype(str),
    "float32 [50, 1, 10]": lambda labels: one_hot(labels)[:, None],
}


@pytest.mark.parametrize("mode", [TRAIN, EVAL])
@pytest.mark.parametrize("form", list(WRONG_LABELS))
def test_labels_of_another_form_are_refused_in_one_line(digits, mode, form):
    images, labels = first(digits, 50)
    with pytest.raises(InputError, match=rf"labels: {re.escape(form)} is not .* or one-hot, \[n, 10\]$"):
        build(mode, images, WRONG_LABELS[form](labels))


@pytest.mark.parametrize("mode", [TRAIN, EVAL])
@pytest.mark.parametrize(("labels", "form"), [(None, "None"), ({"digit": 1}, "a dict")])
def test_labels_that_are_no_tensor_are_refused_in_one_line(digits, mode, labels, form):
    with tf.Graph().as_default(), pytest.raises(InputError, match=f"^labels: {form} is not possible"):
        model_fn({"image": tf.constant(digits[0][:50])}, labels, mode, {"experiment": EXPERIMENT})


@pytest.mark.parametrize("mode", [TRAIN, EVAL])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda labels: np.where(labels == 9, 10, labels), "outside the valid range of 0 to 9.*\\[0\\] \\[10\\]"),
        (lambda labels: labels - 1, "outside the valid range of 0 to 9"),
        (lambda labels: labels.astype(np.int64) + 2**32, "outside the valid range of 0 to 9"),
        (lambda labels: 0.9 * one_hot(labels) + 0.01, "not one-hot"),
        (lambda labels: 0 * one_hot(labels), "not one-hot"),
    ],
    ids=["too large", "negative", "beyond 32 bits", "mixed", "no class"],
)
def test_impossible_label_values_are_refused_when_the_graph_runs(digits, mode, changed, message):
    images, labels = first(digits, 50)
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        loss(mode, images, changed(labels))


# Images.


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "int64"])
def test_images_of_every_integer_type_are_scaled_as_bytes_are(trained, digits, loss_of_bytes, dtype):
    images, labels = first(digits, 50)
    assert np.array_equal(logits_of(trained, images.astype(dtype)), logits_of(trained, images))
    for mode in (TRAIN, EVAL):
        assert loss(mode, images.astype(dtype), labels) == loss_of_bytes[mode]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_images_of_every_floating_point_type_between_0_and_1_are_taken(trained, digits, loss_of_bytes, dtype):
    images, labels = first(digits, 50)
    floats = (images / 255).astype(dtype)
    assert np.allclose(
        logits_of(trained, floats), logits_of(trained, images), atol=0.02 if dtype == "float16" else 1e-4
    )
    for mode in (TRAIN, EVAL):
        assert loss(mode, floats, labels) == pytest.approx(loss_of_bytes[mode], rel=1e-3)


def test_images_without_the_axis_of_their_single_channel_are_taken(trained, digits, loss_of_bytes):
    images, labels = first(digits, 50)
    assert np.array_equal(logits_of(trained, images[..., 0]), logits_of(trained, images))
    for mode in (TRAIN, EVAL):
        assert loss(mode, images[..., 0], labels) == loss_of_bytes[mode]


OUT_OF_RANGE = {
    "floats of 0 to 255": lambda images: images.astype(np.float32),
    "floats of -1 to 1": lambda images: images.astype(np.float32) / 127.5 - 1,
    "not a number": lambda images: np.where(images > 250, np.float32(np.nan), images.astype(np.float32) / 255),
    "16 bits": lambda images: images.astype(np.uint16) * 257,
}


@pytest.mark.parametrize("form", list(OUT_OF_RANGE))
def test_images_outside_their_range_are_refused_in_every_mode(trained, digits, form):
    images, labels = first(digits, 50)
    wrong = OUT_OF_RANGE[form](images)
    for mode in (TRAIN, EVAL):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"image.*{wrong.dtype}.* outside the valid range"):
            loss(mode, wrong, labels)
    with pytest.raises(InputError, match=f"image.*{wrong.dtype} outside the valid range"):
        logits_of(trained, wrong)


@pytest.mark.parametrize("mode", [TRAIN, EVAL, PREDICT])
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (lambda images: images[:, :27], r"shape \[50, 27, 28, 1\] .* must be \[n, 28, 28, 1\]"),
        (lambda images: images[0], r"shape \[28, 28, 1\] .* must be \[n, 28, 28, 1\]"),
        (lambda images: images.reshape(50, 784), r"shape \[50, 784\]"),
        (lambda images: np.moveaxis(images, 3, 1), r"shape \[50, 1, 28, 28\]"),
        (lambda images: np.repeat(images, 3, axis=3), r"shape \[50, 28, 28, 3\]"),
        (lambda images: images > 127, "bool is not possible"),
        (lambda images: images.astype(str), "string is not possible"),
    ],
    ids=["size", "no batch", "flat", "channels first", "colour", "bool", "text"],
)
def test_images_of_another_shape_or_type_are_refused_in_one_line(digits, mode, changed, message):
    images, labels = first(digits, 50)
    with pytest.raises(InputError, match=message):
        build(mode, changed(images), labels)


def test_features_and_params_of_another_form_are_refused_in_one_line(digits):
    images, labels = first(digits, 50)
    with tf.Graph().as_default():
        with pytest.raises(InputError, match=r"features: \['x'\] is not possible"):
            model_fn({"x": tf.constant(images)}, tf.constant(labels), TRAIN, {"experiment": EXPERIMENT})
        with pytest.raises(InputError, match="params: must be"):
            model_fn({"image": tf.constant(images)}, tf.constant(labels), TRAIN, {})


def test_shapes_that_only_the_values_show_are_taken_or_refused_when_the_graph_runs(trained, digits):
    def generator(images: np.ndarray, labels: np.ndarray) -> Callable[[], tf.data.Dataset]:
        def fetch_batch(number: tf.Tensor) -> Any:
            image, label = tf.numpy_function(
                lambda n: (images[n * 50 : n * 50 + 50], labels[n * 50 : n * 50 + 50]), [number], (tf.uint8, tf.int32)
            )
            return {"image": image}, label  # of unknown rank

        return lambda: tf.data.Dataset.range(2).map(fetch_batch)

    images, labels = first(digits, 100)
    known = trained.evaluate(batches(images, labels))
    assert trained.evaluate(generator(images, labels)) == known
    for wrong in ((images[:, :, :27], labels), (images, labels[:, None])):
        with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible with expected shape"):
            trained.evaluate(generator(*wrong))


def build(mode: str, images: np.ndarray, labels: Any, experiment: Experiment = EXPERIMENT) -> Any:
    """Returns the EstimatorSpec of constants, in a graph of its own."""
    with tf.Graph().as_default():
        given = None if mode == PREDICT else tf.constant(labels)
        return model_fn({"image": tf.constant(images)}, given, mode, {"experiment": experiment})


def loss(mode: str, images: np.ndarray, labels: np.ndarray, experiment: Experiment = EXPERIMENT) -> float:
    """Returns the loss of one batch by the initial weights."""
    spec = build(mode, images, labels, experiment)
    with spec.loss.graph.as_default(), tf.compat.v1.Session() as session:
        session.run([tf.compat.v1.global_variables_initializer(), tf.compat.v1.local_variables_initializer()])
        return float(session.run(spec.loss))


# The length of a run.


def test_training_beyond_the_end_of_the_experiment_is_refused(trained, digits):
    with pytest.raises(tf.errors.InvalidArgumentError, match="the experiment ends after 60 steps"):
        trained.train(batches(*first(digits, 50)), steps=1)


def test_an_element_of_several_batches_is_refused_where_a_session_call_makes_one_step(digits, tmp_path):
    images, labels = first(digits, 100)
    one_by_one = Experiment(model="dense", batch_size=50, train_examples=500, iterations_per_loop=1)
    assert one_by_one.steps_per_loop == 1
    with pytest.raises(InputError, match=r"at most batch_size=50 examples an element; found: 100$"):
        build(TRAIN, images, labels, one_by_one)
    unknown = batches(images, labels, size=100)  # of [n]
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most batch_size=50 examples an element; found:"):
        estimator_in(tmp_path, one_by_one).train(unknown, steps=1)
    assert loss(TRAIN, images, labels) > 0  # otherwise these are two steps


@pytest.mark.parametrize("size", [100, 77])
def test_training_on_elements_of_several_batches_ends_at_the_last_step(digits, tmp_path, size):
    experiment = Experiment(model="dense", batch_size=50, train_examples=500, train_steps=10)
    estimator = estimator_in(tmp_path, experiment)
    estimator.train(batches(*first(digits, 500), size=size, epochs=4), max_steps=10)  # more data than that
    assert estimator.get_variable_value("global_step") == 10


# Estimator's own tools.


def test_metrics_are_added_from_the_predictions(trained, digits):
    def mean_confidence(labels: tf.Tensor, predictions: Dict[str, tf.Tensor]) -> Dict[str, Any]:
        confidence = tf.reduce_max(predictions["probabilities"], axis=1)
        precision = tf.compat.v1.metrics.precision_at_k(tf.cast(labels, tf.int64), predictions["logits"], k=1)
        return {"confidence": tf.compat.v1.metrics.mean(confidence), "precision": precision}

    figures = tf.estimator.add_metrics(trained, mean_confidence).evaluate(batches(*digits))
    logits = logits_of(trained, digits[0])
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert figures["confidence"] == pytest.approx(probabilities.max(1).mean(), rel=1e-4)
    assert figures["precision"] == pytest.approx(figures["accuracy"])


@pytest.mark.parametrize("average_decay", [0.0, 0.5])
def test_a_warm_start_takes_the_weights_of_another_run(trained, digits, tmp_path, average_decay):
    fields = {"model": "dense", "batch_size": 50, "train_examples": 500, "train_steps": 1, "learning_rate": 1e-8}
    if average_decay:
        source = estimator_in(tmp_path / "source", Experiment(**{**fields, "average_decay": 0.5}))
        source.train(batches(*first(digits, 50)), max_steps=1)
    else:
        source = trained
    experiment = Experiment(**fields, average_decay=average_decay)
    warm = estimator_in(tmp_path / "warm", experiment, warm_start_from=source.model_dir)
    warm.train(batches(*first(digits, 50)), max_steps=1)
    assert np.allclose(logits_of(warm, digits[0]), logits_of(source, digits[0]), atol=1e-4)
    assert warm.get_variable_value("global_step") == 1


@pytest.mark.parametrize("model", ["dense", "conv"])
def test_the_in_memory_evaluator_evaluates_the_weights_that_are_being_trained(digits, tmp_path, model):
    experiment = Experiment(model=model, batch_size=50, train_examples=500, train_steps=10, average_decay=0.5)
    estimator = estimator_in(tmp_path, experiment)
    evaluator = tf.estimator.experimental.InMemoryEvaluatorHook(
        estimator, batches(*digits, size=300), name="memory", every_n_iter=5
    )
    estimator.train(batches(*first(digits, 500)), hooks=[evaluator], max_steps=10)
    seen = dict(summaries(tmp_path / "eval_memory"))
    assert set(seen) == {0, 5, 10}
    figures = estimator.evaluate(batches(*digits, size=300))
    assert seen[10]["loss"] == pytest.approx(figures["loss"]) != pytest.approx(seen[0]["loss"])
    assert seen[10]["accuracy"] == pytest.approx(figures["accuracy"])


def summaries(folder: Any) -> Iterator[Tuple[int, Dict[str, float]]]:
    for path in folder.iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            if event.summary.value:
                yield event.step, {value.tag: value.simple_value for value in event.summary.value}


@pytest.mark.parametrize("dtype", [tf.float32, tf.uint8])
def test_a_model_is_exported_with_an_input_receiver_of_their_own_and_without_assertions(
    trained, digits, tmp_path, dtype
):
    def receiver() -> tf.estimator.export.ServingInputReceiver:
        flat = tf.compat.v1.placeholder(dtype, [None, 784], "pixels")
        return tf.estimator.export.ServingInputReceiver({"image": tf.reshape(flat, [-1, 28, 28])}, {"pixels": flat})

    folder = trained.export_saved_model(str(tmp_path), receiver).decode()
    model = tf.saved_model.load(folder)
    pixels = digits[0][:100].reshape(100, 784)
    pixels = pixels if dtype == tf.uint8 else pixels.astype(np.float32) / 255
    served = model.signatures["predict"](pixels=tf.constant(pixels))
    assert np.allclose(served["logits"], logits_of(trained, digits[0][:100]), atol=1e-4)
    graph = tf.compat.v1.saved_model.load  # the whole graph that the file holds, also what no signature needs
    with tf.Graph().as_default() as whole, tf.compat.v1.Session() as session:
        graph(session, ["serve"], folder)
        assert "Assert" not in {op.type for op in whole.get_operations()}


def test_training_stops_early_where_the_loss_does_not_decrease(digits, tmp_path):
    experiment = Experiment(model="dense", batch_size=50, train_examples=500, train_steps=400, learning_rate=1e-9)
    config = tf.estimator.RunConfig(save_checkpoints_steps=5)
    estimator = estimator_in(tmp_path, experiment, config=config)
    stop = tf.estimator.experimental.stop_if_no_decrease_hook(
        estimator, "loss", max_steps_without_decrease=5, run_every_secs=None, run_every_steps=5
    )
    tf.estimator.train_and_evaluate(
        estimator,
        tf.estimator.TrainSpec(batches(*first(digits, 500), epochs=40), max_steps=400, hooks=[stop]),
        tf.estimator.EvalSpec(batches(*digits), steps=None, start_delay_secs=0, throttle_secs=0),
    )
    assert 10 < estimator.get_variable_value("global_step") < 100


@pytest.mark.parametrize("strategy", ["none", "mirrored"])
def test_strategies_that_the_input_is_not_divided_for_are_refused_in_one_line(digits, tmp_path, strategy):
    with tf.Graph().as_default():  # outside a graph it wants the second CPU at once
        devices = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    config = tf.estimator.RunConfig(train_distribute=devices, eval_distribute=devices)
    experiment = Experiment(model="conv", batch_size=50, train_examples=500, strategy=strategy)
    estimator = estimator_in(tmp_path, experiment, config=config)
    # AutoGraph, which a strategy calls, wraps the InputError.
    with pytest.raises(Exception, match=r"InputError: train_distribute: needs"):
        estimator.train(batches(*first(digits, 50)), steps=1)
    with pytest.raises(Exception, match=r"InputError: eval_distribute: is not possible"):
        estimator.evaluate(batches(*first(digits, 50)))


def test_the_documented_program_trains_and_evaluates(tmp_path):
    program = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)[0]
    assert len([line for line in program.splitlines() if line]) <= 15
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loss, accuracy = map(float, done.stdout.splitlines()[-1].split())
    assert 0 < loss < 0.7 and accuracy > 0.8
