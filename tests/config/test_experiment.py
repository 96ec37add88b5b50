"""Experiment: checked when built, equal when read back, and what follows from it."""

import dataclasses
import json
import os

import numpy as np
import pytest

from estimator_mnist.architectures import ARCHITECTURES
from estimator_mnist.config.experiment import FILE_NAME, Experiment
from estimator_mnist.config.fields import LATER
from estimator_mnist.training import run_config
from input_fns import InputError


@pytest.mark.parametrize(
    "field, value",
    [
        ("model", "resnet"),
        ("optimizer", "adagrad"),
        ("input", "queue"),
        ("learning_rate_schedule", "step"),
        ("downsample", "none"),
        ("batch_size", 0),
        ("batch_size", -1),
        ("batch_size", 2**31),
        ("eval_batch_size", 0),
        ("train_epochs", 0),
        ("train_steps", 0),
        ("evals", 0),
        ("evals", 9381),
        ("learning_rate", 0.0),
        ("learning_rate", -0.1),
        ("learning_rate", float("inf")),
        ("learning_rate", float("nan")),
        ("dropout_rate", 1.0),
        ("dropout_rate", -0.1),
        ("dropout_rate", float("nan")),
        ("label_smoothing", 1.0),
        ("average_decay", 1.0),
        ("average_decay", -0.1),
        ("augment", "blur"),
        ("augment_strength", 0.0),
        ("augment_strength", 3.1),
        ("augment_strength", float("nan")),
        ("gpu_memory_fraction", 0.0),
        ("gpu_memory_fraction", 1.1),
        ("iterations_per_loop", -1),
        ("validation_size", -1),
        ("inter_op_threads", -1),
        ("inter_op_threads", 10**9),
        ("intra_op_threads", 1025),
        ("replicas", 10**9),
        ("recipe", "worst"),
        ("source", "web"),
        ("loss", "hinge"),
        ("strategy", "ring"),
        ("lenet5_form", "1989"),
        ("train_epochs", 10_001),
        ("image_size", "0"),
        ("image_size", "28x"),
        ("image_size", "28x28x1"),
        ("image_size", "9999"),
        ("test_fraction", 0.0),
        ("test_fraction", 1.0),
        ("metric", "f1"),
        ("best_metric", "f1"),
        ("model", "nets/mine.py:resnet"),
        ("seed", -1),
        ("seed", 2**62),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_flag_s_name(field, value):
    flag = "evals" if value == 10_001 else field  # an evaluation each epoch
    with pytest.raises(InputError, match=rf"^--{flag}: .* is not possible; it must be "):
        Experiment(**{field: value})


@pytest.mark.parametrize(
    "field, value",
    [
        ("train_examples", 0),
        ("train_examples", 2**31),
        ("test_examples", -1),
        ("class_names", ()),
        ("class_names", ("0", "")),
        ("class_names", ("0", "\ud800")),
        ("class_names", tuple(map(str, range(100_001)))),
        ("class_names", ("a", "b", "a")),
        ("image_shape", (28, 28)),
        ("image_shape", (28, 0, 1)),
        ("image_shape", (28, 10**9, 1)),
        ("image_shape", (28, 28, 2)),
    ],
)
def test_impossible_data_is_refused_by_its_key(field, value):
    with pytest.raises(InputError, match=rf"^{field}: .* is not possible; it must be ") as caught:
        Experiment(**{field: value})
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    "field, value, message",
    [
        ("batch_size", 2.5, "batch_size is 2.5; it must be a whole number"),
        ("batch_size", None, "batch_size is null; it must be a whole number"),
        ("train_steps", "5", 'train_steps is "5"; it must be a whole number'),
        ("learning_rate", "fast", 'learning_rate is "fast"; it must be a number'),
        ("batch_norm", "yes", 'batch_norm is "yes"; it must be true or false'),
        ("class_names", "ab", 'class_names is "ab"; it must be a list'),
        ("class_names", [1, 2], r"class_names\[0\] is 1; it must be a text"),
        ("image_shape", np.array([28, 28, 1]), "image_shape is of type ndarray; it must be a list"),
        ("model", None, "model is null; it must be a text"),
    ],
)
def test_a_value_of_another_type_is_refused_in_python_too(field, value, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        Experiment(**{field: value})


def test_lists_and_numbers_of_numpy_are_taken_as_the_file_holds_them(tmp_path):
    given = Experiment(image_shape=[28, 28, 1], batch_size=np.int64(50), learning_rate=np.float32(0.5))
    assert given == Experiment(image_shape=(28, 28, 1), batch_size=50, learning_rate=0.5)
    given.write(tmp_path)
    assert Experiment.read(tmp_path) == given


def test_it_is_equal_to_the_one_read_back(tmp_path):
    for experiment in (
        Experiment(),
        Experiment(model="dense", train_steps=7, evals=3, data_dir="/données", class_names=("a b", "c/d"), seed=2**61),
    ):
        experiment.write(tmp_path)
        assert Experiment.read(tmp_path) == experiment
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]
    assert Experiment.read(tmp_path / "none") is None


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "\x00", '{"model": "conv"}', json.dumps({"batch_size": 0}), "1e999", '"conv"']
)
def test_a_damaged_file_is_named(tmp_path, text):
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(InputError, match=f"{FILE_NAME}: holds no experiment"):
        Experiment.read(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"batch_size": "64"}, 'batch_size is "64"; it must be a whole number'),
        ({"class_names": [1, 2]}, "class_names[0] is 1; it must be a text"),
        ({"xla": 1}, "xla is 1; it must be true or false"),
        ({"batch_size": 0}, "--batch_size: 0 is not possible; it must be a whole number from 1 to 2**31 - 1"),
        ({"image_shape": [28]}, "image_shape has 1 items; it must have 3"),
        ({"colour": "red"}, '"colour" is no key of this version; remove it'),
    ],
)
def test_a_wrong_value_in_the_file_is_named_with_what_would_be_right(tmp_path, change, message):
    (tmp_path / FILE_NAME).write_text(json.dumps({**dataclasses.asdict(Experiment()), **change}))
    with pytest.raises(InputError) as caught:
        Experiment.read(tmp_path)
    assert str(caught.value) == f"{tmp_path / FILE_NAME}: holds no experiment ({message}); --clean starts over"


def test_a_whole_number_is_read_as_the_float_that_it_equals(tmp_path):
    (tmp_path / FILE_NAME).write_text(json.dumps({**dataclasses.asdict(Experiment()), "learning_rate": 1}))
    assert Experiment.read(tmp_path) == Experiment(learning_rate=1.0)


def test_an_older_experiment_is_read_as_what_it_did(tmp_path):
    values = {name: value for name, value in dataclasses.asdict(Experiment()).items() if name not in LATER}
    (tmp_path / FILE_NAME).write_text(json.dumps(values))
    assert Experiment.read(tmp_path) == Experiment()


@pytest.mark.parametrize("change", [{"batch_size": "64"}, {"batch_size": True}, {"learning_rate": None}, {"seed": 1.5}])
def test_a_value_of_another_type_is_refused(change):
    values = {**dataclasses.asdict(Experiment()), **change}
    with pytest.raises(ValueError):
        Experiment.from_json(values)


def test_differences_name_flags_and_leave_out_what_changes_nothing():
    other = Experiment(batch_size=32, optimizer="sgd", eval_batch_size=7, data_dir="/there", intra_op_threads=1)
    assert Experiment().differences(other) == ["--batch_size is 64, not 32", "--optimizer is adam, not sgd"]


def test_steps_of_a_run():
    notebook = Experiment(batch_size=64, train_epochs=10)
    assert (notebook.steps_per_epoch, notebook.total_steps, notebook.epochs) == (938, 9380, 10)
    assert notebook.evaluation_steps == [938 * epoch for epoch in range(1, 11)]
    cut = Experiment(batch_size=64, train_steps=1000)
    assert (cut.total_steps, cut.epochs, cut.evaluation_steps) == (1000, 2, [938, 1000])


@pytest.mark.parametrize("evals", [1, 3, 7, 100])
@pytest.mark.parametrize("steps", [100, 101, 9380])
def test_the_evaluations_asked_for_are_made_the_last_one_at_the_end(evals, steps):
    planned = Experiment(train_steps=steps, evals=evals).evaluation_steps
    assert len(set(planned)) == evals and planned == sorted(planned) and planned[-1] == steps and planned[0] > 0


def test_recipes_are_experiments():
    for model, record in ARCHITECTURES.items():
        for recipe in record.recipes:
            for dataset in ("mnist", "fashion_mnist"):
                Experiment(model=model, recipe=recipe, dataset=dataset, **record.recipe(recipe, dataset))
    assert ARCHITECTURES["dense"].recipes["notebook"] == {
        "optimizer": "adam",
        "learning_rate": 0.001,
        "batch_size": 64,
        "train_epochs": 10,
        "dropout_rate": 0.2,
    }
    assert ARCHITECTURES["conv"].recipes["default"]["train_epochs"] <= 4


def test_the_best_recipes_mirror_clothes_and_deform_handwriting():
    for record in ARCHITECTURES.values():
        kinds = [record.recipe("best", name)["augment"] for name in ("mnist", "kmnist", "mnist:3.0.1")]
        assert kinds == ["elastic"] * 3
        assert record.recipe("best", "fashion_mnist") == record.recipe("best", "fashion_mnist:3.0.1")
        assert record.recipe("best", "fashion_mnist")["augment"] == "mirror"
    conv = ARCHITECTURES["conv"]
    assert conv.recipe("default", "fashion_mnist") == conv.recipe("default", "mnist")


def test_run_config_holds_the_session_settings_asked_for(tmp_path):
    config = run_config.create(Experiment(), tmp_path)
    session = config.session_config
    assert session.gpu_options.allow_growth is True
    assert session.gpu_options.per_process_gpu_memory_fraction == 0.9
    assert session.allow_soft_placement is True and session.log_device_placement is False
    # The threads within an op are chosen: as many as the chains of ops leave cores for.
    assert session.inter_op_parallelism_threads == 0
    assert session.intra_op_parallelism_threads == max(1, (os.cpu_count() or 1) // 4)
    assert session.graph_options.optimizer_options.global_jit_level == 0
    assert session.graph_options.rewrite_options.auto_mixed_precision == 0
    assert config.model_dir == str(tmp_path)

    other = Experiment(
        allow_growth=False,
        gpu_memory_fraction=0.5,
        allow_soft_placement=False,
        log_device_placement=True,
        inter_op_threads=1,
        intra_op_threads=2,
        xla=True,
        mixed_precision=True,
        seed=7,
    )
    config = run_config.create(other, tmp_path)
    session = config.session_config
    assert session.gpu_options.allow_growth is False
    assert session.gpu_options.per_process_gpu_memory_fraction == 0.5
    assert session.allow_soft_placement is False and session.log_device_placement is True
    assert (session.inter_op_parallelism_threads, session.intra_op_parallelism_threads) == (1, 2)
    assert session.graph_options.optimizer_options.global_jit_level == 1
    assert session.graph_options.rewrite_options.auto_mixed_precision == 1
    assert config.tf_random_seed == 7
