"""Intervals, tests and calibration, each against TensorFlow's functions, explicit sums or published values."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf

from estimator_mnist.evaluation import statistics


def test_students_t_inverts_the_incomplete_beta_function():
    for freedom in [1, 2, 3, 4, 5, 9, 10, 99, 1000]:
        t = statistics.student_t(freedom)
        outside = tf.math.betainc(np.float64(freedom / 2), np.float64(0.5), np.float64(freedom / (freedom + t * t)))
        assert float(outside) == pytest.approx(0.05, rel=1e-9), freedom
    # From any printed table.
    assert [round(statistics.student_t(freedom), 3) for freedom in (1, 2, 4, 30)] == [12.706, 4.303, 2.776, 2.042]


def test_a_summary_holds_mean_standard_deviation_and_students_interval():
    summary = statistics.summary([0.98, 0.982, 0.987])
    assert (summary.n, summary.mean, summary.std) == (3, pytest.approx(0.983), pytest.approx(math.sqrt(13e-6)))
    half_width = 4.302652729911275 * math.sqrt(13e-6 / 3)
    assert summary.interval == pytest.approx((0.983 - half_width, 0.983 + half_width))
    of_one = statistics.summary([0.9])
    assert (of_one.n, of_one.mean) == (1, 0.9) and math.isnan(of_one.std) and math.isnan(of_one.interval[0])


@pytest.mark.parametrize("right, examples", [(9937, 10_000), (1, 10_000), (500, 1000), (3, 7)])
def test_wilsons_interval_ends_where_the_score_test_becomes_significant(right, examples):
    for end in statistics.wilson_interval(right, examples):
        score = (right / examples - end) / math.sqrt(end * (1 - end) / examples)
        assert abs(score) == pytest.approx(1.959963984540054)


def test_wilsons_interval_with_none_or_all_right():
    assert statistics.wilson_interval(10, 10) == (pytest.approx(0.7224672), 1.0)
    assert statistics.wilson_interval(0, 10) == (0.0, pytest.approx(1 - 0.7224672))


def test_the_calibration_error_equals_its_definition_example_by_example():
    random = np.random.default_rng(5)
    probabilities = random.dirichlet([0.3] * 10, 2000).astype(np.float32)
    labels = np.where(random.random(2000) < 0.7, probabilities.argmax(axis=1), random.integers(0, 10, 2000))
    calibration = statistics.calibration(probabilities, labels)
    error = 0.0
    for bin_ in calibration.bins:
        members = [i for i in range(2000) if bin_.low < probabilities[i].max() <= bin_.high]
        assert bin_.examples == len(members)
        if members:
            accuracy = np.mean([probabilities[i].argmax() == labels[i] for i in members])
            confidence = np.mean([float(probabilities[i].max()) for i in members])
            assert (bin_.accuracy, bin_.confidence) == (pytest.approx(accuracy), pytest.approx(confidence))
            error += len(members) / 2000 * abs(accuracy - confidence)
    assert len(calibration.bins) == 15 and calibration.error == pytest.approx(error) and error > 0.05


def test_a_network_that_is_certain_and_right_is_perfectly_calibrated():
    calibration = statistics.calibration(np.eye(10, dtype=np.float32), np.arange(10))
    assert calibration.error == 0 and calibration.bins[-1].examples == 10


def test_mcnemars_test_counts_the_outcomes_of_fair_coins():
    # All outcomes of 7 coins, one by one: the p-value is the share of those at least as uneven as 1 to 6.
    ways = [sum(coins) for coins in itertools.product((0, 1), repeat=7)]
    expected = Fraction(sum(min(heads, 7 - heads) <= 1 for heads in ways), 2**7)
    a = np.array([True] * 100 + [True] + [False] * 6 + [False] * 3)
    b = np.array([True] * 100 + [False] + [True] * 6 + [False] * 3)
    compared = statistics.compare_paired(a, b)
    assert compared[:4] == (100, 1, 6, 3) and compared.difference == pytest.approx(-5 / 110)
    assert (compared.accuracy_a, compared.accuracy_b) == (pytest.approx(101 / 110), pytest.approx(106 / 110))
    assert compared.p_value == float(expected)
    swapped = statistics.compare_paired(b, a)
    assert swapped.p_value == compared.p_value
    assert swapped.interval == pytest.approx([-end for end in compared.interval[::-1]])
    with_itself = statistics.compare_paired(a, a)
    assert with_itself.p_value == 1 and with_itself.difference == 0
    assert with_itself.interval[0] < 0 < with_itself.interval[1]
    large = statistics.compare_paired(np.arange(60_000) < 20_000, np.arange(60_000) >= 20_000)
    assert 0 <= large.p_value < 1e-300


def test_the_interval_of_a_difference_has_about_its_nominal_coverage():
    """Sums, over all outcomes with 100 images, the probability of those whose interval holds the true difference."""
    n = 100
    for share_a, share_b in ((0.02, 0.05), (0.05, 0.05), (0.01, 0.1)):
        coverage = 0.0
        for only_a, only_b in itertools.product(range(25), range(35)):
            ways = math.comb(n, only_a) * math.comb(n - only_a, only_b)
            rest = (1 - share_a - share_b) ** (n - only_a - only_b)
            a_right, b_right = np.zeros(n, bool), np.zeros(n, bool)
            a_right[:only_a] = b_right[only_a : only_a + only_b] = True
            low, high = statistics.compare_paired(a_right, b_right).interval
            if low <= share_a - share_b <= high:
                coverage += ways * share_a**only_a * share_b**only_b * rest
        assert 0.94 < coverage < 0.98, (share_a, share_b, coverage)
