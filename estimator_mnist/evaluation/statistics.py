"""Uncertainty: confidence intervals, calibration, and whether two networks differ. Does not import TensorFlow.

The formulas are short and exact, so they need no statistics package. A test checks each against TensorFlow's own
functions, explicit sums or published values.
"""

import math
import statistics
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

CONFIDENCE = 0.95  # level of every interval and of McNemar's test
BINS = 15  # of the calibration error, as in Guo et al. 2017
Interval = Tuple[float, float]


class Summary(NamedTuple):
    """A quantity over several runs of one setting."""

    n: int  # runs
    mean: float
    std: float  # sample standard deviation (divides by n - 1); NaN for a single run
    interval: Interval  # of the mean, by Student's t; NaN for a single run


class Bin(NamedTuple):
    """The predictions whose probability is above `low` and at most `high`."""

    low: float
    high: float
    examples: int
    confidence: float  # mean probability of the predicted class; 0 in an empty bin
    accuracy: float  # 0 in an empty bin


class Calibration(NamedTuple):
    """How well the predicted probabilities match the accuracy."""

    error: float  # expected calibration error, in [0, 1]
    bins: List[Bin]  # of equal width, from 0 to 1


class Comparison(NamedTuple):
    """Two networks, A and B, on the same examples. The first four fields count examples."""

    both_right: int
    only_a_right: int
    only_b_right: int
    both_wrong: int
    difference: float  # accuracy of A minus accuracy of B
    interval: Interval  # of the difference
    p_value: float  # of McNemar's exact test

    @property
    def examples(self) -> int:
        return self.both_right + self.only_a_right + self.only_b_right + self.both_wrong

    @property
    def accuracy_a(self) -> float:
        return (self.both_right + self.only_a_right) / self.examples

    @property
    def accuracy_b(self) -> float:
        return (self.both_right + self.only_b_right) / self.examples


def wilson_interval(right: int, examples: int) -> Interval:
    """Returns the confidence interval of an accuracy: all true accuracies that the count does not contradict.

    The score interval of Wilson (1927), doi 10.1080/01621459.1927.10502953. Unlike mean +- standard error, it stays
    within [0, 1] and keeps its coverage near 0 and 1, where these accuracies are.

    Args:
        right: Examples that are classified correctly.
        examples: All examples, at least 1.
    """
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    accuracy, spread = right / examples, z * z / examples
    center = accuracy + spread / 2
    half_width = math.sqrt(spread * (accuracy * (1 - accuracy) + spread / 4))
    # With none or all right, one end is exactly 0 or 1. Rounding could miss it.
    low = (center - half_width) / (1 + spread) if right else 0.0
    high = (center + half_width) / (1 + spread) if right < examples else 1.0
    return low, high


def summary(values: Sequence[float]) -> Summary:
    """Returns the mean of at least one value, the standard deviation, and the confidence interval of the mean."""
    n, mean = len(values), statistics.fmean(values)
    if n == 1:
        return Summary(1, mean, math.nan, (math.nan, math.nan))
    std = statistics.stdev(values)
    half_width = student_t(n - 1) * std / math.sqrt(n)
    return Summary(n, mean, std, (mean - half_width, mean + half_width))


def student_t(freedom: int) -> float:
    """Returns the two-sided critical value t of Student's distribution: P(|T| <= t) = CONFIDENCE.

    Args:
        freedom: Degrees of freedom, at least 1.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(80):  # bisects the angle to the last bit
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < CONFIDENCE else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """Returns P(|T| <= sqrt(freedom) tan(angle)) by the finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for power in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    """Returns how well the probability of the predicted class matches the accuracy.

    The expected calibration error of Guo et al. 2017 (arXiv 1706.04599, equations 2, 3 and 5) sorts the examples by the
    probability of the predicted class into BINS bins of equal width, each open at its lower end. It is the mean of
    |accuracy - confidence| over the bins, weighted by their examples.

    Args:
        probabilities: float32 [n, classes].
        labels: Integers [n].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(index, minlength=BINS)
    divisors = np.maximum(counts, 1)  # an empty bin has sums of 0
    confidences = np.bincount(index, confidence, BINS) / divisors
    accuracies = np.bincount(index, correct, BINS) / divisors
    error = float((counts * np.abs(accuracies - confidences)).sum() / len(labels))
    columns = zip(counts.tolist(), confidences.tolist(), accuracies.tolist())
    return Calibration(error, [Bin(m / BINS, (m + 1) / BINS, *column) for m, column in enumerate(columns)])


def compare_paired(a_right: np.ndarray, b_right: np.ndarray) -> Comparison:
    """Compares two networks by the discordant examples: those that only one of them classifies correctly.

    The test is McNemar's (1947) in its exact form: if both networks were equally good, each discordant example would
    favour either one with probability 1/2. The interval is Bonett and Price's (2012): Wald's interval, after one more
    discordant example on each side. Fagerland, Lydersen and Laake (2014, doi 10.1002/sim.6148) recommend it for paired
    proportions.

    Args:
        a_right, b_right: bool [n], for the same examples in the same order.
    """
    examples = len(a_right)
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    both = int((a_right & b_right).sum())
    share_a, share_b = (only_a + 1) / (examples + 2), (only_b + 1) / (examples + 2)
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    half_width = z * math.sqrt((share_a + share_b - (share_a - share_b) ** 2) / (examples + 2))
    center = share_a - share_b
    return Comparison(
        both_right=both,
        only_a_right=only_a,
        only_b_right=only_b,
        both_wrong=examples - both - only_a - only_b,
        difference=(only_a - only_b) / examples,
        interval=(max(-1.0, center - half_width), min(1.0, center + half_width)),
        p_value=_exact_p(only_a, only_b),
    )


def _exact_p(only_a: int, only_b: int) -> float:
    """Returns the two-sided probability that fair coin flips are at least this uneven. Exact: sums integers."""
    flips = only_a + only_b
    ways, total = 1, 0  # ways: binomial coefficient of `count` flips on the rarer side
    for count in range(min(only_a, only_b) + 1):
        total += ways
        ways = ways * (flips - count) // (count + 1)
    return min(1.0, 2 * total / 2**flips) if flips else 1.0
