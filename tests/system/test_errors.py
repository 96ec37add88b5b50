"""Environment failures become one line; bugs of the program stay exceptions."""

import errno
import os

import pytest

from estimator_mnist.system import errors
from estimator_mnist.system.errors import RunError
from input_fns import InputError


@pytest.fixture
def experiment_file(tmp_path):
    file = tmp_path / "run" / "experiment.json"
    file.parent.mkdir()
    file.write_text("{}")
    return file


def test_a_full_disk_names_the_model_dir_and_says_how_to_resume(experiment_file, sample):
    said = r"^--model_dir .*run: the run failed there \(.*No space.*rerun the same command to resume$"
    with pytest.raises(RunError, match=said), errors.as_user_error(experiment_file, sample):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_deleted_model_dir_is_named(experiment_file, sample):
    experiment_file.unlink()
    with pytest.raises(RunError, match="was deleted during the run"), errors.as_user_error(experiment_file, sample):
        raise ValueError("anything")


def test_a_bug_stays_what_it_is(experiment_file, sample):
    with pytest.raises(ZeroDivisionError), errors.as_user_error(experiment_file, sample):
        1 / 0  # noqa: B018


@pytest.mark.parametrize("error", [InputError("--seed: wrong"), RunError("the loss is not finite")])
def test_an_error_of_one_line_passes_unchanged(experiment_file, sample, error):
    with pytest.raises(type(error)) as caught, errors.as_user_error(experiment_file, sample):
        raise error
    assert caught.value is error
