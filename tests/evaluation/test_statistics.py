"""Intervals, tests and calibration, each against TensorFlow's functions, sums written out or published figures."""

import itertools
import json
import math
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist.evaluation import evaluate, statistics
from estimator_mnist.model_dir import predictions


def test_student_s_t_is_the_inverse_of_the_incomplete_beta_function():
    for freedom in [1, 2, 3, 4, 5, 9, 10, 99, 1000]:
        t = statistics.student_t(freedom)
        outside = tf.math.betainc(np.float64(freedom / 2), np.float64(0.5), np.float64(freedom / (freedom + t * t)))
        assert float(outside) == pytest.approx(0.05, rel=1e-9), freedom
    # Of any printed table.
    assert [round(statistics.student_t(freedom), 3) for freedom in (1, 2, 4, 30)] == [12.706, 4.303, 2.776, 2.042]


def test_a_summary_is_mean_deviation_and_student_s_interval():
    found = statistics.summary([0.98, 0.982, 0.987])
    assert (found.n, found.mean, found.std) == (3, pytest.approx(0.983), pytest.approx(math.sqrt(13e-6)))
    half = 4.302652729911275 * math.sqrt(13e-6 / 3)
    assert found.interval == pytest.approx((0.983 - half, 0.983 + half))
    alone = statistics.summary([0.9])
    assert (alone.n, alone.mean) == (1, 0.9) and math.isnan(alone.std) and math.isnan(alone.interval[0])


@pytest.mark.parametrize("right, examples", [(9937, 10_000), (1, 10_000), (500, 1000), (3, 7)])
def test_the_ends_of_wilson_s_interval_are_where_the_score_test_turns(right, examples):
    for end in statistics.wilson_interval(right, examples):
        score = (right / examples - end) / math.sqrt(end * (1 - end) / examples)
        assert abs(score) == pytest.approx(1.959963984540054)


def test_wilson_s_interval_at_the_ends():
    assert statistics.wilson_interval(10, 10) == (pytest.approx(0.7224672), 1.0)
    assert statistics.wilson_interval(0, 10) == (0.0, pytest.approx(1 - 0.7224672))


def test_calibration_is_its_definition_summed_example_by_example():
    random = np.random.default_rng(5)
    probabilities = random.dirichlet([0.3] * 10, 2000).astype(np.float32)
    labels = np.where(random.random(2000) < 0.7, probabilities.argmax(axis=1), random.integers(0, 10, 2000))
    found = statistics.calibration(probabilities, labels)
    error = 0.0
    for part in found.bins:
        members = [i for i in range(2000) if part.low < probabilities[i].max() <= part.high]
        assert part.examples == len(members)
        if members:
            accuracy = np.mean([probabilities[i].argmax() == labels[i] for i in members])
            confidence = np.mean([float(probabilities[i].max()) for i in members])
            assert (part.accuracy, part.confidence) == (pytest.approx(accuracy), pytest.approx(confidence))
            error += len(members) / 2000 * abs(accuracy - confidence)
    assert len(found.bins) == 15 and found.error == pytest.approx(error) and error > 0.05


def test_a_network_that_is_sure_and_right_is_calibrated():
    found = statistics.calibration(np.eye(10, dtype=np.float32), np.arange(10))
    assert found.error == 0 and found.bins[-1].examples == 10


def test_mcnemar_s_test_counts_the_ways_a_fair_coin_falls():
    # One by one: all ways in which 7 images can fall, as unevenly as 1 to 6 or more so.
    ways = [sum(coins) for coins in itertools.product((0, 1), repeat=7)]
    expected = Fraction(sum(min(heads, 7 - heads) <= 1 for heads in ways), 2**7)
    a = np.array([True] * 100 + [True] + [False] * 6 + [False] * 3)
    b = np.array([True] * 100 + [False] + [True] * 6 + [False] * 3)
    found = statistics.compare(a, b)
    assert found[:4] == (100, 1, 6, 3) and found.difference == pytest.approx(-5 / 110)
    assert found.p_value == float(expected)
    swapped = statistics.compare(b, a)
    assert swapped.p_value == found.p_value and swapped.interval == pytest.approx(
        [-end for end in found.interval[::-1]]
    )
    same = statistics.compare(a, a)
    assert same.p_value == 1 and same.difference == 0 and same.interval[0] < 0 < same.interval[1]
    many = statistics.compare(np.arange(60_000) < 20_000, np.arange(60_000) >= 20_000)
    assert 0 <= many.p_value < 1e-300


def test_the_interval_of_a_difference_holds_the_true_one_about_as_often_as_it_says():
    """Of all outcomes with 100 images: the probability of those whose interval holds the true difference."""
    n = 100
    for share_a, share_b in ((0.02, 0.05), (0.05, 0.05), (0.01, 0.1)):
        held = 0.0
        for only_a, only_b in itertools.product(range(25), range(35)):
            ways = math.comb(n, only_a) * math.comb(n - only_a, only_b)
            rest = (1 - share_a - share_b) ** (n - only_a - only_b)
            a_right, b_right = np.zeros(n, bool), np.zeros(n, bool)
            a_right[:only_a] = b_right[only_a : only_a + only_b] = True
            low, high = statistics.compare(a_right, b_right).interval
            if low <= share_a - share_b <= high:
                held += ways * share_a**only_a * share_b**only_b * rest
        assert 0.94 < held < 0.98, (share_a, share_b, held)


def test_evaluate_tells_how_sure_it_is(cli, run):
    found = json.loads(cli("evaluate", "--model_dir", run, "--json").stdout)
    stored = json.loads((run / "results.json").read_text())
    assert (found["loss"], found["accuracy"]) == (stored["final"]["test_loss"], stored["final"]["test_accuracy"])
    assert found["examples"] == 1000 and found["mistakes"] == round(1000 * (1 - found["accuracy"]))
    low, high = found["accuracy_interval"]
    assert low < found["accuracy"] < high and (low, high) == statistics.wilson_interval(1000 - found["mistakes"], 1000)
    kept = predictions.read(run)
    expected = statistics.calibration(kept.probabilities, kept.labels)
    assert found["calibration_error"] == pytest.approx(expected.error, abs=1e-6) and 0 < expected.error < 0.2
    assert sum(part["examples"] for part in found["calibration"]) == 1000
    shown = cli("evaluate", "--model_dir", run).stdout
    assert f"{100 * low:.2f}% to {100 * high:.2f}%" in shown and "calibration error (15 bins)" in shown


def test_two_runs_are_compared_on_the_same_images(cli, run):
    """An early checkpoint against the last one."""
    words = ["evaluate", "--model_dir", run, "--checkpoint", "100", "--against", run]
    found = json.loads(cli(*words, "--json").stdout)
    kept = predictions.read(run)
    mistakes = int((kept.probabilities.argmax(axis=1) != kept.labels).sum())
    compared = found["against"]
    assert compared["only_a_right"] + compared["both_wrong"] == mistakes
    assert compared["only_b_right"] + compared["both_wrong"] == found["mistakes"] > mistakes
    assert compared["difference"] == pytest.approx((mistakes - found["mistakes"]) / 1000) and compared["p_value"] < 0.01
    shown = cli(*words).stdout
    assert "B is better on this split" in shown and "McNemar" in shown


@pytest.mark.parametrize(
    "only_a, only_b, words",
    [
        (0, 0, "nothing tells them apart"),
        (12, 20, "cannot tell which is better: one has 20 of the 32 images that only one gets right"),
        (40, 20, "A is better on this split: it has 40 of the 60 images that only one gets right"),
    ],
)
def test_the_verdict_is_in_words(only_a, only_b, words):
    a = np.array([True] * (900 + only_a) + [False] * only_b)
    b = np.array([True] * 900 + [False] * only_a + [True] * only_b)
    assert words in evaluate.verdict(statistics.compare(a, b))


def test_runs_on_other_images_are_not_compared(cli, run, tmp_path, sample, fashion_mnist):
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
