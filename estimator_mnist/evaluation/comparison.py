"""Two trained networks, A and B, on the same images: is one of them better?"""

from pathlib import Path

import numpy as np

from estimator_mnist.evaluation import statistics
from estimator_mnist.evaluation.metrics import Classified
from estimator_mnist.evaluation.statistics import Comparison
from estimator_mnist.system import terminal
from estimator_mnist.system.terminal import percent, printable
from input_fns import InputError


def compare(a: Classified, b: Classified, a_dir: Path, b_dir: Path) -> Comparison:
    """Compares two networks image by image.

    Args:
        a, b: The evaluated split, as each network classifies it.
        a_dir, b_dir: Their model_dirs, for the message of the error.

    Raises:
        InputError: They were evaluated on different images.
    """
    if not (np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)):
        raise InputError(
            f"--against {b_dir}: was evaluated on other images than {a_dir}; name a run on the same data and split"
        )
    return statistics.compare_paired(a.predicted == a.labels, b.predicted == b.labels)


def show(comparison: Comparison, a_dir: Path, b_dir: Path) -> None:
    """Prints the counts of a comparison, the difference in accuracy, and the verdict in words."""
    rows = [
        ["A right", f"{comparison.both_right:,}", f"{comparison.only_a_right:,}"],
        ["A wrong", f"{comparison.only_b_right:,}", f"{comparison.both_wrong:,}"],
    ]
    table = terminal.table(rows, ["images", "B right", "B wrong"])
    low, high = (100 * end for end in comparison.interval)
    terminal.say(f"\nA: {printable(str(a_dir))}\nB: {printable(str(b_dir))}\n\n{table}\n")
    terminal.say(
        f"Accuracy: A {percent(comparison.accuracy_a)}, B {percent(comparison.accuracy_b)}; "
        f"A - B = {100 * comparison.difference:+.2f} points (95% interval: {low:+.2f} to {high:+.2f})"
    )
    terminal.say(verdict(comparison))


def verdict(comparison: Comparison) -> str:
    """Returns the result of McNemar's test in words, for a reader who does not know the test."""
    disagreements = comparison.only_a_right + comparison.only_b_right
    if not disagreements:
        return "A and B classify the same images correctly: this split shows no difference."
    if comparison.only_a_right == comparison.only_b_right:
        winner, won = "each", comparison.only_a_right
    else:
        winner, won = max(("A", comparison.only_a_right), ("B", comparison.only_b_right), key=lambda pair: pair[1])
    significant = comparison.p_value < 1 - statistics.CONFIDENCE
    conclusion = f"{winner} is better on this split" if significant else "This split cannot tell which is better"
    return (
        f"{conclusion}: of the {disagreements:,} images that only one classifies correctly, {winner} gets {won:,}. "
        f"Two equally good networks would differ at least this much with probability {comparison.p_value:.2g} "
        "(McNemar's exact test)."
    )
