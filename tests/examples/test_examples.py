"""Each example computes what its paper says. Those of the document, and test_own_network.py, train with them."""

import ast
import runpy

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support import ROOT

import input_fns
from estimator_mnist import user_code
from estimator_mnist.architectures import arithmetic, create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model import user_functions

EXAMPLES = ROOT / "examples"
FUNCTIONS = {  # file -> the setting that its function is for, and the function
    "resnet.py": ("model", "resnet"),
    "from_keras.py": ("model", "convnet"),
    "focal_loss.py": ("loss", "focal"),
    "macro_f1.py": ("metric", "macro_f1"),
    "lion.py": ("optimizer", "Lion"),
    "jitter.py": ("augment", "jitter"),
}


def function(file):
    return runpy.run_path(str(EXAMPLES / file))[FUNCTIONS[file][1]]


def experiment(file, **fields):
    setting, name = FUNCTIONS[file]
    digest = user_code.register((EXAMPLES / file).read_bytes())
    return Experiment(**{setting: f"{file}:{name}", "user_code": {file: digest}, **fields})


def test_every_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*FUNCTIONS, "images_folder.py"}


@pytest.mark.parametrize("file", FUNCTIONS)
def test_an_example_names_its_command_and_suits_images_in_colour(file):
    setting, name = FUNCTIONS[file]
    described = ast.get_docstring(ast.parse((EXAMPLES / file).read_text()))
    assert f"bash run.sh --{setting} examples/{file}:{name}" in described
    user_functions.check(experiment(file, image_shape=(32, 40, 3), class_names=("a", "b")))


def test_the_residual_network_is_light():
    assert arithmetic.training_flop(create_network(experiment("resnet.py"))) < 15e6


def test_the_focal_loss_is_the_formula_of_the_paper():
    logits = np.random.default_rng(0).normal(0, 4, (50, 5)).astype(np.float32)
    labels = np.arange(50) % 5
    p = np.exp(logits.astype(float))[np.arange(50), labels] / np.exp(logits.astype(float)).sum(axis=1)
    np.testing.assert_allclose(function("focal_loss.py")(labels, logits), -((1 - p) ** 2) * np.log(p), rtol=1e-4)


def test_macro_f1_over_batches_is_the_mean_of_the_classes_f1():
    random = np.random.default_rng(0)
    labels, logits = random.integers(0, 4, 70), random.normal(size=(70, 5)).astype(np.float32)  # class 4 never occurs
    predicted = logits.argmax(axis=1)
    scores = []
    for label in range(5):
        hits = ((labels == label) & (predicted == label)).sum()
        scores.append(2 * hits / ((labels == label).sum() + (predicted == label).sum()))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        given = tf.compat.v1.placeholder(tf.int32, [None]), tf.compat.v1.placeholder(tf.float32, [None, 5])
        value, update = function("macro_f1.py")(*given)
        session.run(tf.compat.v1.local_variables_initializer())
        for rows in (slice(0, 32), slice(32, 64), slice(64, 70)):
            session.run(update, dict(zip(given, (labels[rows], logits[rows]))))
        assert session.run(value) == pytest.approx(np.mean(scores), rel=1e-5)


def test_lion_moves_by_the_sign_and_remembers_the_gradient():
    weight, gradient, momentum = tf.constant([1.0, 1.0]), tf.constant([0.5, -2.0]), tf.constant([-10.0, 0.0])
    moved, slots = function("lion.py")().update(weight, gradient, {"momentum": momentum}, 0.1, 0.0)
    np.testing.assert_allclose(moved, [1.1, 1.1])
    np.testing.assert_allclose(slots["momentum"], [-9.895, -0.02], rtol=1e-5)


def test_jitter_changes_brightness_and_is_a_function_of_the_seed():
    image = np.random.default_rng(0).integers(60, 190, (8, 9, 3), np.uint8)
    jitter = function("jitter.py")
    first, again, other = (jitter(tf.constant(image), tf.constant([1, seed])).numpy() for seed in (0, 0, 1))
    assert first.dtype == np.uint8 and first.shape == image.shape
    assert (first == again).all() and (first != other).any() and (first != image).any()


def test_the_folder_of_images_holds_the_sample(sample, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["images_folder", str(tmp_path / "digits")])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    runpy.run_path(str(EXAMPLES / "images_folder.py"), run_name="__main__")
    files = sorted((tmp_path / "digits").glob("t*/*/*.png"))
    assert len(files) == 5000
    images, labels = np.load(sample.test.images), np.load(sample.test.labels)
    for number in (0, 500, 999):
        path = tmp_path / "digits" / "test" / str(labels[number]) / f"{number:04}.png"
        assert (np.asarray(Image.open(path)) == images[number, :, :, 0]).all()
    data = input_fns.find(input_fns.Request(source="folder", image_dir=str(tmp_path / "digits")), lambda line: None)
    assert (data.train.examples, data.test.examples) == (4000, 1000) and data.image_shape == (28, 28, 1)
