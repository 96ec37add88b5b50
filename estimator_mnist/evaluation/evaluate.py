"""The evaluation of one checkpoint, apart from training, and the comparison of two."""

from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional

import numpy as np

import input_fns
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import classify_split, statistics
from estimator_mnist.evaluation.metrics import Classified
from estimator_mnist.evaluation.statistics import Comparison
from estimator_mnist.model_dir import checkpoints
from estimator_mnist.system import terminal
from estimator_mnist.system.terminal import percent
from estimator_mnist.training import estimator as estimators
from input_fns import InputError


class Evaluated(NamedTuple):
    """A checkpoint on the whole split that its run is evaluated on."""

    # "loss", "accuracy", "global_step", "accuracy_of_class/<name>"; "examples", "mistakes", "accuracy_interval",
    # "calibration_error" and "calibration", a list of the bins.
    result: Dict[str, Any]
    classified: Classified


def evaluate(
    experiment: Experiment, data: input_fns.Data, model_dir: Path, checkpoint: Optional[str] = None
) -> Evaluated:
    """Evaluates a checkpoint.

    Args:
        experiment: The experiment of the model_dir.
        data: Its data.
        model_dir: Where the checkpoints are; nothing is written to it.
        checkpoint: Path prefix of a checkpoint; None takes the newest.

    Raises:
        InputError: There is no checkpoint, or the one named is damaged or another network's.
    """
    checkpoint = checkpoints.checked(experiment, model_dir, checkpoint)
    evaluation = estimators.create(experiment, model_dir, data).classify(checkpoint)
    result = {name: value.item() for name, value in evaluation.figures.items()}
    classified = classify_split.from_evaluation(experiment, evaluation, checkpoint)
    examples = len(classified.labels)
    calibration = statistics.calibration(classified.probabilities, classified.labels)
    result["examples"], result["mistakes"] = examples, classified.mistakes
    result["accuracy_interval"] = list(statistics.wilson_interval(examples - classified.mistakes, examples))
    result["calibration_error"] = calibration.error
    result["calibration"] = [part._asdict() for part in calibration.bins]
    return Evaluated(result, classified)


def compare(a: Classified, b: Classified, a_dir: Path, b_dir: Path) -> Comparison:
    """Compares two networks on the same images.

    Raises:
        InputError: They are not the same images.
    """
    same = np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels)
    if not same:
        raise InputError(
            f"--against {b_dir}: was evaluated on other images than {a_dir}; name a run on the same data and split"
        )
    return statistics.compare(a.predicted == a.labels, b.predicted == b.labels)


def show(result: Dict[str, Any], experiment: Experiment) -> None:
    """Prints an evaluation as a table."""
    low, high = result["accuracy_interval"]
    rows = [
        ["loss", f"{result['loss']:.4f}"],
        ["accuracy", percent(result["accuracy"])],
        ["95% interval (Wilson)", f"{percent(low)} to {percent(high)}"],
        [f"calibration error ({statistics.BINS} bins)", percent(result["calibration_error"])],
    ]
    rows += [[f"accuracy of {name}", percent(result[f"accuracy_of_class/{name}"])] for name in experiment.class_names]
    terminal.say(terminal.table(rows, [f"step {result['global_step']:,.0f}", f"{experiment.evaluated_split} split"]))


def show_comparison(compared: Comparison, a_dir: Path, b_dir: Path) -> None:
    """Prints a comparison: the counts, the difference, and in words what they say."""
    rows = [
        ["A right", f"{compared.both_right:,}", f"{compared.only_a_right:,}"],
        ["A wrong", f"{compared.only_b_right:,}", f"{compared.both_wrong:,}"],
    ]
    examples = sum(compared[:4])
    accuracies = [(compared.both_right + only) / examples for only in (compared.only_a_right, compared.only_b_right)]
    low, high = (100 * end for end in compared.interval)
    terminal.say(f"\nA is {a_dir}, B is {b_dir}\n\n" + terminal.table(rows, ["images", "B right", "B wrong"]))
    terminal.say(
        f"\nA {percent(accuracies[0])}, B {percent(accuracies[1])}: A less B is {100 * compared.difference:+.2f} "
        f"points, 95% interval {low:+.2f} to {high:+.2f}"
    )
    terminal.say(verdict(compared))


def verdict(compared: Comparison) -> str:
    """Returns what McNemar's test says, for a reader who does not know it."""
    only = compared.only_a_right + compared.only_b_right
    if not only:
        return "Both are right on the same images: nothing tells them apart."
    shares = f"{max(compared.only_a_right, compared.only_b_right):,} of the {only:,} images that only one gets right"
    better = "A" if compared.difference > 0 else "B"
    if compared.p_value < 1 - statistics.CONFIDENCE:
        return (
            f"{better} is better on this split: it has {shares}. Two equally good networks would differ so much with "
            f"probability {compared.p_value:.2g} (McNemar's test, exact)."
        )
    return (
        f"This split cannot tell which is better: one has {shares}, and two equally good networks would differ at "
        f"least so much with probability {compared.p_value:.2g} (McNemar's test, exact)."
    )
