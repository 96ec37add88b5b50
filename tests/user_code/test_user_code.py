"""Functions of user files: references, contents by their SHA-256, and errors as one line."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, Dict

import pytest
from support import USER_OPTIMIZERS

from estimator_mnist import user_code
from estimator_mnist.architectures import create_network
from estimator_mnist.config import assembly
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model import user_functions
from estimator_mnist.model_dir import prepare
from input_fns import InputError

NETWORK = """
from estimator_mnist.layers import Conv2D, Dense, Flatten, relu

def small(experiment):
    return [Conv2D("conv", 4, 5, relu, strides=4), Flatten("flatten"), Dense("logits", experiment.classes)]

def not_a_list(experiment):
    return "conv"

def not_layers(experiment):
    return [Flatten("flatten"), 3]

def wrong_end(experiment):
    return [Flatten("flatten"), Dense("logits", 7)]

def raises(experiment):
    nothing = {}
    return nothing["key"]

def wrong_layer(experiment):
    return [Conv2D("conv", 4, 5, padding="NEAR")]

SETTING = 3
"""
FUNCTIONS = (
    USER_OPTIMIZERS
    + """
import tensorflow as tf

def absolute(labels, logits):
    return tf.reduce_sum(tf.abs(logits - tf.one_hot(labels, 10)), axis=1)

def mean(labels, logits):
    return tf.reduce_mean(logits)

def constant(labels, logits):
    return tf.zeros(tf.shape(labels))

def top_3(labels, logits):
    return tf.compat.v1.metrics.mean(tf.cast(tf.math.in_top_k(labels, logits, 3), tf.float32))

def error(labels, logits):
    value, update = tf.compat.v1.metrics.accuracy(labels, tf.argmax(logits, 1))
    return 1.0 - value, update

error.lower_is_better = True

def of_keras(labels, logits):
    metric = tf.keras.metrics.SparseTopKCategoricalAccuracy(3)
    metric.update_state(labels, logits)
    return metric

def not_updated(labels, logits):
    return tf.keras.metrics.MeanSquaredError()

def no_metric(labels, logits):
    return 3

class ForgetsSlots(Momentum):
    def update(self, weight, gradient, slots, learning_rate, step):
        return weight

class WrongShape:
    def update(self, weight, gradient, slots, learning_rate, step):
        return tf.reduce_sum(weight)

class NoUpdate:
    pass

class WrongSlots:
    slots = ("a b",)

    def update(self, weight, gradient, slots, learning_rate, step):
        return weight

def flip(image, seed):
    return tf.image.stateless_random_flip_left_right(image, seed)

def as_float(image, seed):
    return tf.cast(image, tf.float32)
"""
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETWORK)
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    return tmp_path


def experiment(sample: Any, folder: Path, **settings: Any) -> Experiment:
    """Returns the experiment with settings whose files are in a folder."""
    return assembly.experiment(sample, {"model": "dense", **_with_paths(settings, folder)})


def _with_paths(settings: Dict[str, Any], folder: Path) -> Dict[str, Any]:
    return {name: f"{folder}/{value}" if ".py:" in str(value) else value for name, value in settings.items()}


def test_a_reference_has_a_file_and_a_function():
    reference = user_code.parse("nets/mine.py:resnet")
    assert (reference.path, reference.file, reference.function) == ("nets/mine.py", "mine.py", "resnet")
    assert (reference.name, reference.slug) == ("mine.py:resnet", "mine-resnet")
    for text in ("conv", "mine.py", "mine:resnet", "mine.py:", "mine.py:3d", "mine.py:a.b", "a.py:f,b.py:g", ""):
        assert not user_code.is_reference(text)


def test_an_experiment_holds_names_and_digests_of_files_and_no_folders(sample, files):
    made = experiment(sample, files, model="nets.py:small", loss="functions.py:absolute")
    digests = {name: hashlib.sha256((files / name).read_bytes()).hexdigest() for name in ("nets.py", "functions.py")}
    assert (made.model, made.loss, made.user_code) == ("nets.py:small", "functions.py:absolute", digests)
    assert Experiment.from_json(dataclasses.asdict(made)) == made
    assert hash(made) == hash(dataclasses.replace(made))


def test_describing_a_run_does_not_run_the_user_s_code(sample, tmp_path):
    (tmp_path / "nets.py").write_text("raise SystemExit('it ran')")
    made = experiment(sample, tmp_path, model="nets.py:small")
    assert made.architecture.recipes["default"] and made.total_steps
    with pytest.raises(user_code.UserCodeError, match=r"^nets\.py:1: SystemExit: it ran$"):
        create_network(made)


def test_recipes_for_any_network(sample, files):
    for recipe in ("default", "notebook", "best"):
        assert experiment(sample, files, model="nets.py:small", recipe=recipe).recipe == recipe
    with pytest.raises(InputError, match=r"^--recipe paper: is one for --model lenet5, not nets\.py:small$"):
        experiment(sample, files, model="nets.py:small", recipe="paper")


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"model": "nets.py:gone"}, r"--model nets\.py:gone: nets\.py has no function gone; it has small, not_a_list,"),
        ({"model": "nets.py:SETTING"}, r"--model nets\.py:SETTING: nets\.py has no function SETTING"),
        ({"model": "nets.py:not_a_list"}, r"nets\.py: not_a_list returned str; it must return a list of layers"),
        ({"model": "nets.py:not_layers"}, r"nets\.py: not_layers returned a list with int; each item must be a layer"),
        ({"model": "nets.py:wrong_end"}, r"--model nets\.py:wrong_end: layer logits: the network ends in 7 and must "),
        ({"model": "nets.py:raises"}, r"nets\.py:18: KeyError: 'key'"),
        ({"model": "nets.py:wrong_layer"}, r"nets\.py:21: layer conv: padding 'NEAR' is not possible"),
        ({"loss": "functions.py:mean"}, r"functions\.py: mean returned float32 of shape \(\); it must return the loss"),
        ({"loss": "functions.py:constant"}, r"functions\.py: constant returned losses without a gradient"),
        ({"metric": "functions.py:no_metric"}, r"functions\.py: no_metric returned int; it must return \(value, upd"),
        ({"metric": "functions.py:not_updated"}, r"functions\.py: not_updated returned a Keras metric without values"),
        ({"optimizer": "functions.py:ForgetsSlots"}, r"functions\.py: ForgetsSlots update must return \(new weight, "),
        ({"optimizer": "functions.py:WrongShape"}, r"functions\.py: WrongShape update returned float32 of shape \(\)"),
        ({"optimizer": "functions.py:NoUpdate"}, r"functions\.py: NoUpdate has no method update"),
        ({"optimizer": "functions.py:WrongSlots"}, r"functions\.py: WrongSlots has slots = \('a b',\); they must be"),
        (
            {"augment": "functions.py:as_float"},
            r"--augment functions\.py:as_float: returns float32 \(28, 28, 1\) for an i",
        ),
    ],
)
def test_a_function_that_cannot_be_used_is_refused_in_one_line(sample, files, settings, message):
    with pytest.raises(InputError, match=f"^{message}") as caught:
        user_functions.check(experiment(sample, files, **settings))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "nets.py:small"},
        {"loss": "functions.py:absolute", "metric": "functions.py:top_3", "best_metric": "top_3"},
        {"metric": "functions.py:of_keras", "optimizer": "functions.py:Sgd", "augment": "functions.py:flip"},
        {"metric": "functions.py:error", "optimizer": "functions.py:Momentum"},
    ],
)
def test_functions_that_can_be_used_pass(sample, files, settings):
    user_functions.check(experiment(sample, files, **settings))


def test_a_syntax_error_is_named_with_its_line(sample, tmp_path):
    (tmp_path / "nets.py").write_text("import os\n\ndef small(experiment:\n    pass\n")
    with pytest.raises(user_code.UserCodeError, match=r"^nets\.py:3: SyntaxError: "):
        create_network(experiment(sample, tmp_path, model="nets.py:small"))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"model": "gone.py:f"}, r"--model .*gone\.py: cannot be read \(No such file or directory\)"),
        ({"model": "resnet"}, r"--model: resnet is not possible; it must be one of .*conv.*, or FILE\.py:FUNCTION"),
        ({"loss": "hinge"}, r"--loss: hinge is not possible; it must be one of cross_entropy, .* or FILE\.py:FUNCTION"),
        ({"best_metric": "f1"}, r"--best_metric: f1 is not possible; it must be accuracy or loss without --metric"),
        ({"metric": "accuracy"}, r"--metric: accuracy is not possible; it must be "),
        ({"model": "nets.py:small", "batch_norm": True}, r"--batch_norm: .* must be false with --model nets\.py:small"),
    ],
)
def test_an_impossible_setting_is_named(sample, files, settings, message):
    with pytest.raises(InputError, match=f"^{message}"):
        experiment(sample, files, **settings)


def test_two_files_of_one_name_are_refused(sample, files):
    (files / "more").mkdir()
    (files / "more" / "nets.py").write_text(NETWORK + "\n# another\n")
    with pytest.raises(InputError, match=r"nets\.py:small: another file of the same name is used, too; rename one"):
        experiment(sample, files, model="nets.py:small", loss="more/nets.py:small")


def test_the_copy_in_the_model_dir_is_used_once_the_file_is_gone(sample, files, tmp_path):
    run = tmp_path / "run"
    made = experiment(sample, files, model="nets.py:small")
    with prepare.opened_for(made, run, clean=False):
        pass
    assert (run / "user_code" / "nets.py").read_text() == NETWORK
    (files / "nets.py").unlink()
    again = assembly.experiment(sample, {"model": "nets.py:small"}, assembly.Code(copies=run / "user_code"))
    assert again == made == Experiment.read(run)


def test_an_edited_file_is_another_experiment(sample, files, tmp_path):
    run = tmp_path / "run"
    with prepare.opened_for(experiment(sample, files, model="nets.py:small"), run, clean=False):
        pass
    (files / "nets.py").write_text(NETWORK.replace("4, 5", "8, 5"))
    edited = experiment(sample, files, model="nets.py:small")
    message = r"holds another experiment: nets\.py was edited \(its SHA-256 is "
    with pytest.raises(InputError, match=message), prepare.opened_for(edited, run, clean=False):
        pass


def test_an_edited_copy_is_refused(sample, files, tmp_path):
    run = tmp_path / "run"
    made = experiment(sample, files, model="nets.py:small")
    with prepare.opened_for(made, run, clean=False):
        pass
    (run / "user_code" / "nets.py").write_text(NETWORK + "\n# edited\n")
    message = r"user_code/nets\.py: was edited since the run began"
    with pytest.raises(InputError, match=message), prepare.opened_for(made, run, clean=False):
        pass


def test_names_differ_by_content_in_one_process(sample, files):
    first = experiment(sample, files, model="nets.py:small")
    assert create_network(first).weight_shapes()["conv/kernel"] == (5, 5, 1, 4)
    (files / "nets.py").write_text(NETWORK.replace("4, 5", "8, 5"))
    second = experiment(sample, files, model="nets.py:small")
    assert create_network(second).weight_shapes()["conv/kernel"] == (5, 5, 1, 8)
    assert create_network(first).weight_shapes()["conv/kernel"] == (5, 5, 1, 4)


def test_a_file_that_needs_one_beside_it_is_refused(sample, tmp_path, monkeypatch):
    (tmp_path / "widths.py").write_text("WIDTH = 3\n")
    (tmp_path / "nets.py").write_text("import json\nfrom widths import WIDTH\n" + NETWORK)
    made = experiment(sample, tmp_path, model="nets.py:small")
    with pytest.raises(user_code.UserCodeError, match=r"^nets\.py:2: ModuleNotFoundError: No module named 'widths'$"):
        create_network(made)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as in a notebook
    with pytest.raises(user_code.UserCodeError, match=r"^nets\.py:2: imports widths from .* would not keep; put all"):
        create_network(made)


def test_micro_batches_follow_from_the_network(sample, files):
    made = experiment(sample, files, model="nets.py:small")
    assert made.architecture.shards is None
    assert made.steps_per_loop == 200  # a small network: as many as a call ever makes
