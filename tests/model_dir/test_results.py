"""results.json: read back as it was written, and never with a wrong type."""

import json

import pytest

from estimator_mnist.model_dir import results

VALID = {
    "model": "dense",
    "dataset": "mnist",
    "source": "sample",
    "train_examples": 4000,
    "test_examples": 1000,
    "evaluated_split": "test",
    "parameters": 101_770,
    "batch_size": 64,
    "epochs": 2,
    "seed": 0,
    "global_step": 126,
    "tensorflow": "2.15.1",
    "untrained": {"test_loss": 2.3, "test_accuracy": 0.1},
    "train_loss": [0.9, 0.4],
    "final": {"test_loss": 0.4, "test_accuracy": 0.9},
    "best": {"test_accuracy": 0.9, "global_step": 126},
    "best_metric": "macro_f1",
    "metrics": {"macro_f1": {"untrained": 0.1, "final": 0.9, "best": None}},
    "images_per_second": 12345.6,
    "seconds": {"to_first_step": 2.0, "training": 1.0, "evaluation": 1.0, "export": 1.0, "total": 5.0},
}


def test_results_are_read_back_as_they_were_written(tmp_path):
    results.write(VALID, tmp_path)
    assert results.read(tmp_path) == VALID


def test_results_of_an_older_version_are_of_the_test_split_and_without_a_metric(tmp_path):
    later = {"evaluated_split": "test", "best_metric": "accuracy", "metrics": {}}
    results.write({key: value for key, value in VALID.items() if key not in later}, tmp_path)
    assert results.read(tmp_path) == {**VALID, **later}


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 1}', '{"final": ', '{"final": {"test_accuracy": 0.9}}', "\x00"])
def test_corrupt_results_count_as_none(tmp_path, text):
    assert results.read(tmp_path) is None
    (tmp_path / results.FILE_NAME).write_text(text)
    assert results.read(tmp_path) is None


@pytest.mark.parametrize(
    "change",
    [
        {"final": {"test_loss": "low", "test_accuracy": 0.9}},
        {"final": {"test_loss": 0.4, "test_accuracy": 1.5}},
        {"final": None},
        {"best": {"test_accuracy": 0.9}},
        {"train_loss": []},
        {"metrics": {"macro_f1": {"final": 0.9}}},
        {"metrics": {"macro_f1": 0.9}},
        {"train_loss": [None]},
        {"seconds": {"training": 1.0}},
        {"global_step": 2**70},
        {"evaluated_split": "train"},
        {"images_per_second": True},
        {"more": 1},
    ],
)
def test_hand_edited_results_of_a_wrong_type_or_range_count_as_none(tmp_path, change):
    (tmp_path / results.FILE_NAME).write_text(json.dumps({**VALID, **change}))
    assert results.read(tmp_path) is None
