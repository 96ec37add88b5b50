"""The evaluate command: its metrics with their uncertainty, and its comparison of two networks."""

import json
from pathlib import Path

import numpy as np
import pytest

from estimator_mnist.evaluation import comparison, statistics
from estimator_mnist.model_dir import predictions


def test_evaluate_reports_the_uncertainty_of_its_metrics(cli, run):
    result = json.loads(cli("evaluate", "--model_dir", run, "--json").stdout)
    final = json.loads((run / "results.json").read_text())["final"]
    assert (result["loss"], result["accuracy"]) == (final["test_loss"], final["test_accuracy"])
    assert result["examples"] == 1000 and result["mistakes"] == round(1000 * (1 - result["accuracy"]))
    low, high = result["accuracy_interval"]
    assert low < result["accuracy"] < high
    assert (low, high) == statistics.wilson_interval(1000 - result["mistakes"], 1000)
    stored = predictions.read(run)
    expected = statistics.calibration(stored.probabilities, stored.labels)
    assert result["calibration_error"] == pytest.approx(expected.error, abs=1e-6) and 0 < expected.error < 0.2
    assert sum(bin_["examples"] for bin_ in result["calibration"]) == 1000
    printed = cli("evaluate", "--model_dir", run).stdout
    assert f"{100 * low:.2f}% to {100 * high:.2f}%" in printed and "calibration error (15 bins)" in printed


def test_two_checkpoints_are_compared_on_the_same_images(cli, run):
    """A is an early checkpoint, B the last one."""
    words = ["evaluate", "--model_dir", run, "--checkpoint", "100", "--against", run]
    result = json.loads(cli(*words, "--json").stdout)
    stored = predictions.read(run)
    mistakes = int((stored.probabilities.argmax(axis=1) != stored.labels).sum())
    compared, difference = result["against"], (mistakes - result["mistakes"]) / 1000
    assert compared["only_a_right"] + compared["both_wrong"] == mistakes
    assert compared["only_b_right"] + compared["both_wrong"] == result["mistakes"] > mistakes
    assert compared["difference"] == pytest.approx(difference) and compared["p_value"] < 0.01
    printed = cli(*words).stdout
    assert f"A - B = {100 * difference:+.2f} points" in printed
    assert "B is better on this split" in printed and "McNemar" in printed


@pytest.mark.parametrize(
    "only_a, only_b, words",
    [
        (0, 0, "this split shows no difference"),
        (12, 20, "cannot tell which is better: of the 32 images that only one classifies correctly, B gets 20"),
        (9, 9, "cannot tell which is better: of the 18 images that only one classifies correctly, each gets 9"),
        (40, 20, "A is better on this split: of the 60 images that only one classifies correctly, A gets 40"),
    ],
)
def test_the_verdict_says_what_mcnemars_test_found(only_a, only_b, words):
    a = np.array([True] * (900 + only_a) + [False] * only_b)
    b = np.array([True] * 900 + [False] * only_a + [True] * only_b)
    assert words in comparison.verdict(statistics.compare_paired(a, b))


def test_a_comparison_escapes_control_characters_of_paths(capsys):
    a = np.array([True, True, False])
    comparison.show(statistics.compare_paired(a, a), Path("runs/\x1b[2J"), Path("runs/b\nc"))
    printed = capsys.readouterr().out
    assert "A: runs/\\x1b[2J\nB: runs/b\\nc\n" in printed and "\x1b" not in printed


def test_runs_on_different_images_are_refused(cli, run, fashion_mnist):
    assert cli("--dataset", "fashion_mnist", "--model", "dense", "--train_steps", "5").returncode == 0
    for words, message in (
        (
            ["--against", "runs/fashion_mnist-dense"],
            "--against runs/fashion_mnist-dense: was evaluated on other images",
        ),
        (["--against", "none"], "--against none: holds no experiment"),
    ):
        refused = cli("evaluate", "--model_dir", run, *words)
        assert refused.returncode == 2 and message in refused.stderr and refused.stderr.count("\n") == 1
