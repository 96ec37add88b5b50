"""The flags: derived from Experiment's fields, and read from a command line."""

import dataclasses

import pytest

from estimator_mnist.config import flags
from estimator_mnist.config import setting as settings
from estimator_mnist.config.definitions import COMMANDS, DEFAULTS, GROUPS
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import DATA, FIELDS, USER_FUNCTIONS
from estimator_mnist.config.flags import FLAGS
from input_fns import InputError


@pytest.fixture(autouse=True)
def unset_flags():
    yield
    FLAGS.unparse_flags()
    for name in FLAGS:
        FLAGS[name].unparse()
    FLAGS.mark_as_parsed()


def parsed(*words: str) -> str:
    FLAGS.unparse_flags()
    for name in FLAGS:
        FLAGS[name].unparse()
    return flags.parse(["program", *words])


def test_every_field_but_the_data_found_is_a_flag_with_its_choices():
    for name, field in FIELDS.items():
        assert (name in FLAGS) == (name not in DATA), name
        if name not in DATA:
            assert FLAGS[name].help.endswith(settings.of(field).help)
            choices = () if name in USER_FUNCTIONS else settings.of(field).choices  # Experiment checks those
            assert tuple(getattr(FLAGS[name].parser, "enum_values", None) or ()) == choices


def test_no_default_is_declared_twice(sample):
    assert parsed() == "train"
    expected = {name: field.default for name, field in FIELDS.items()}
    for name in FIELDS:
        if name in FLAGS:
            assert FLAGS[name].default == (DEFAULTS.get(name)), name
    experiment = flags.experiment(sample)
    recipe = experiment.architecture.recipe("default", "mnist")
    for name, value in expected.items():
        if name not in DATA and name != "source":
            assert getattr(experiment, name) == recipe.get(name, value), name


def test_a_flag_overrides_the_recipe_and_the_recipe_the_default(sample):
    parsed("--model", "lenet5", "--recipe", "best", "--batch_size", "7", "--noallow_growth")
    experiment = flags.experiment(sample)
    assert (experiment.batch_size, experiment.train_epochs, experiment.allow_growth) == (7, 30, False)
    assert experiment.augment == "elastic" and Experiment().augment == "none"


def test_a_recipe_of_another_model_is_refused(sample):
    parsed("--model", "dense", "--recipe", "paper")
    with pytest.raises(InputError, match=r"^--recipe paper: is one for --model lenet5, not dense$"):
        flags.experiment(sample)


def test_every_flag_has_a_heading():
    listed = [name for names in GROUPS.values() for name in names]
    assert len(listed) == len(set(listed))
    assert {name for name in FIELDS if name not in DATA} | {"model_dir", "clean", "workers", "files"} <= set(listed)


@pytest.mark.parametrize("words", [["--clean", "false"], ["--clean=false"], ["--noclean"], ["--clean", "False"]])
def test_a_boolean_is_read_in_every_spelling(words):
    parsed(*words, "--xla")
    assert FLAGS.clean is False and FLAGS.xla is True


@pytest.mark.parametrize("command", COMMANDS)
def test_only_predict_takes_further_words(command):
    if command == "predict":
        assert parsed("predict", "a.png", "--files", "b.png", "-") == "predict"
        assert FLAGS.files == ["b.png", "a.png", "-"]
    else:
        assert parsed(command) == command
        with pytest.raises(InputError, match=r"^more: not expected here"):
            parsed(command, "more")


def test_only_what_may_change_is_taken_over_into_a_stored_experiment():
    stored = Experiment(batch_size=32)
    parsed("--eval_batch_size", "7", "--source", "auto")
    assert flags.override(stored) == dataclasses.replace(stored, eval_batch_size=7)
    parsed("--eval_batch_size", "7", "--batch_size", "64")
    with pytest.raises(InputError, match=r"^--batch_size is 64, not 32 as in the experiment of"):
        flags.override(stored)
    assert flags.override_session(stored) == dataclasses.replace(stored, eval_batch_size=7)
