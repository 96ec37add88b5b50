"""How sure a figure is: intervals, calibration, and whether two networks differ. No TensorFlow in it.

The formulas are short and exact, so that no statistics package is needed for them; a test holds each against
TensorFlow's own functions, sums written out, or published values.
"""

import math
import statistics
from typing import List, NamedTuple, Sequence, Tuple

import numpy as np

CONFIDENCE = 0.95  # of all intervals
BINS = 15  # of the calibration, as in Guo et al. 2017
Interval = Tuple[float, float]


class Summary(NamedTuple):
    """Several runs of one setting."""

    n: int
    mean: float
    std: float  # with n - 1; NaN for a single run
    interval: Interval  # of the mean, Student's t; NaN for a single run


class Bin(NamedTuple):
    """The predictions whose probability is above `low` and at most `high`."""

    low: float
    high: float
    examples: int
    confidence: float  # mean probability of the class predicted; 0 in an empty bin
    accuracy: float  # share of them that is right; 0 in an empty bin


class Calibration(NamedTuple):
    error: float  # expected calibration error
    bins: List[Bin]


class Comparison(NamedTuple):
    """Two networks, A and B, on the same examples."""

    both_right: int
    only_a_right: int
    only_b_right: int
    both_wrong: int
    difference: float  # accuracy of A less that of B
    interval: Interval  # of the difference
    p_value: float  # McNemar's test, exact


def wilson_interval(right: int, examples: int) -> Interval:
    """Returns the interval of an accuracy: of all true accuracies, those that the count does not contradict.

    The score interval of Wilson (1927), doi 10.1080/01621459.1927.10502953. Unlike mean and standard error it stays
    within 0 and 1 and holds what it promises near them, where these accuracies are.
    """
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    share, spread = right / examples, z * z / examples
    middle = share + spread / 2
    half = math.sqrt(spread * (share * (1 - share) + spread / 4))
    # At none or all right an end is 0 or 1 exactly, and rounding could put it beside that.
    low = (middle - half) / (1 + spread) if right else 0.0
    high = (middle + half) / (1 + spread) if right < examples else 1.0
    return low, high


def summary(values: Sequence[float]) -> Summary:
    """Returns mean, standard deviation and interval of the mean of at least one value."""
    n, mean = len(values), statistics.fmean(values)
    if n == 1:
        return Summary(1, mean, math.nan, (math.nan, math.nan))
    std = statistics.stdev(values)
    half = student_t(n - 1) * std / math.sqrt(n)
    return Summary(n, mean, std, (mean - half, mean + half))


def student_t(freedom: int) -> float:
    """Returns the t that Student's variable stays within, on both sides, with the probability CONFIDENCE.

    Args:
        freedom: Degrees of freedom, at least 1.
    """
    low, high = 0.0, math.pi / 2
    for _ in range(80):  # halves the angle's interval down to the last bit
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < CONFIDENCE else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """Returns P(|t| <= sqrt(freedom) tan(angle)): the finite sums of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for power in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> Calibration:
    """Returns how far the probabilities of the predicted classes are what they say: the share that is right.

    The expected calibration error of Guo et al. 2017 (arXiv 1706.04599, equations 2, 3 and 5): BINS bins of equal width
    over the probability of the predicted class, each open below; the mean over the examples of each bin's distance.

    Args:
        probabilities: float32 [n, classes].
        labels: Integers [n].
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    index = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(index, minlength=BINS)
    somewhat = np.maximum(counts, 1)
    confidences = np.bincount(index, confidence, BINS) / somewhat
    accuracies = np.bincount(index, right, BINS) / somewhat
    error = float((counts * np.abs(accuracies - confidences)).sum() / len(labels))
    columns = zip(counts.tolist(), confidences.tolist(), accuracies.tolist())
    return Calibration(error, [Bin(m / BINS, (m + 1) / BINS, *column) for m, column in enumerate(columns)])


def compare(a_right: np.ndarray, b_right: np.ndarray) -> Comparison:
    """Compares two networks by the examples on which only one of them is right.

    The test is McNemar's (1947) in its exact form: were they equally good, each of these examples would go to either
    with probability 1/2. The interval is Bonett and Price's (2012), one of those that Fagerland, Lydersen and Laake
    (2014, doi 10.1002/sim.6148) recommend for paired proportions: Wald's after one more of each of these examples.

    Args:
        a_right, b_right: bool [n], the same examples in the same order.
    """
    examples = len(a_right)
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    both = int((a_right & b_right).sum())
    share_a, share_b = (only_a + 1) / (examples + 2), (only_b + 1) / (examples + 2)
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    half = z * math.sqrt((share_a + share_b - (share_a - share_b) ** 2) / (examples + 2))
    middle = share_a - share_b
    return Comparison(
        both,
        only_a,
        only_b,
        examples - both - only_a - only_b,
        (only_a - only_b) / examples,
        (max(-1.0, middle - half), min(1.0, middle + half)),
        _exact_p(only_a, only_b),
    )


def _exact_p(only_a: int, only_b: int) -> float:
    """Returns the probability that a fair coin falls at least as unevenly, to either side. In whole numbers: exact."""
    flips = only_a + only_b
    ways, total = 1, 0  # to fall `count` times on the rarer side
    for count in range(min(only_a, only_b) + 1):
        total += ways
        ways = ways * (flips - count) // (count + 1)
    return min(1.0, 2 * total / 2**flips) if flips else 1.0
