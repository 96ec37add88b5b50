"""The tables that a run prints, for data and metrics of any kind."""

from pathlib import Path

import numpy as np

import input_fns
from estimator_mnist.cli import console
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import evaluate
from estimator_mnist.evaluation.metrics import Classified

RESULTS = {
    "evaluated_split": "test",
    "untrained": {"test_loss": 2.3, "test_accuracy": 0.1},
    "final": {"test_loss": 0.5, "test_accuracy": 0.8},
    "best": {"test_accuracy": 0.85, "global_step": 20},
    "best_metric": "accuracy",
    "metrics": {},
    "train_loss": [1.0, 0.4],
    "seconds": {"training": 2.0},
    "images_per_second": 1000.0,
}


def classified(classes: int) -> Classified:
    logits = np.tile(np.arange(classes, dtype=np.float32), (8, 1))
    return Classified(np.zeros([8, 2, 2, 3], np.uint8), np.zeros(8, np.int32), logits, logits, None)


def test_many_classes_show_the_most_probable_ones_and_few_show_all(capsys):
    console.show_predictions(classified(12), [f"c{index}" for index in range(12)])
    few = capsys.readouterr().out
    assert "c11" in few.splitlines()[1] and "logits" in few and "11.0" in few
    console.show_predictions(classified(300), [*(f"c{index}" for index in range(299)), "x" * 99])
    many = capsys.readouterr().out
    assert [len(line.split("  ")) > 3 for line in many.splitlines()[1:]] == [True] * 8
    assert "x" * 17 + "... 63.21%" in many and "c298 23.25%" in many and "c295" in many and "c294" not in many
    assert max(map(len, many.splitlines())) < 120


def test_a_results_table_has_a_column_for_the_metric(capsys):
    console.show_results(RESULTS)
    plain = capsys.readouterr().out
    assert "test split, best (step 20)" in plain and "f1" not in plain
    metrics = {"f1": {"untrained": 0.05, "final": 0.75, "best": None}}
    console.show_results({**RESULTS, "metrics": metrics, "best_metric": "f1"})
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["loss", "accuracy", "f1"] and lines[3].split()[-1] == "0.0500"
    assert "test split, best by f1 (step 20)" in lines[7] and lines[7].endswith("not finite")
    assert lines[6].split()[-3:] == ["0.5000", "80.00%", "0.7500"]


def test_the_names_of_many_classes_are_cut_short(capsys):
    def data(names) -> input_fns.Data:
        split = input_fns.Split("train", 5, (4, 3, 3))
        return input_fns.Data("arrays", "mine", split, split, tuple(names), "Mine", "", "resize")

    console.show_data(data(map(str, range(300))))
    console.show_data(data(["only"]))
    printed = capsys.readouterr().out
    assert "4x3x3, uint8\n300 classes: 0, 1, 2, " in printed and ", 18, 19 and 280 more\n" in printed
    assert "1 class: only\n" in printed


def test_evaluate_shows_the_worst_of_many_classes_and_the_metric(capsys):
    names = tuple(f"name{index}" for index in range(30))
    result = {f"accuracy_of_class/{name}": 0.5 + index / 100 for index, name in enumerate(names)}
    result = {**result, "loss": 1.0, "accuracy": 0.6, "accuracy_interval": [0.5, 0.7], "calibration_error": 0.1}
    evaluate.show(
        {**result, "global_step": 5, "metrics": {"f1": 0.25}, "worst_classes": names[:20]},
        Experiment(class_names=names),
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in lines[3:5]] == ["60.00%", "0.2500"] and lines[4].startswith("f1 ")
    assert "the 20 classes with the lowest F1, of 30:" in lines[7]
    assert lines[8].split()[-2:] == ["name0", "50.00%"] and lines[-1].split()[-2:] == ["name19", "69.00%"]


def test_the_command_for_tensorboard_can_be_pasted_whatever_the_folders_name(capsys):
    console.show_files(Path("runs/my net"))
    assert capsys.readouterr().out.endswith(" tensorboard --logdir 'runs/my net'\n")
