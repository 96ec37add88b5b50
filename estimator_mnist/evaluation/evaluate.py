"""The evaluation of one checkpoint, apart from training."""

import math
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence

import input_fns
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import classify_split, statistics
from estimator_mnist.evaluation.metrics import MANY_CLASSES, Classified, class_metrics, worst_classes
from estimator_mnist.model_dir import checkpoints
from estimator_mnist.system import terminal
from estimator_mnist.system.terminal import metric_value, percent, printable, shortened
from estimator_mnist.training import estimator as estimators

NAME_LENGTH = 40  # characters of a class name in the table


class Evaluated(NamedTuple):
    """A checkpoint, evaluated on the whole split that its run is evaluated on."""

    # "loss", "accuracy", "global_step", "accuracy_of_class/<name>"; "examples", "mistakes", "accuracy_interval",
    # "calibration_error" and "calibration", a list of the bins; with --metric "metrics", {its name: value}, which is
    # None where it is not finite; with more than MANY_CLASSES "worst_classes", the names of those of the lowest F1.
    result: Dict[str, Any]
    classified: Classified


def evaluate(
    experiment: Experiment, data: input_fns.Data, model_dir: Path, checkpoint: Optional[str] = None
) -> Evaluated:
    """Evaluates a checkpoint, and writes nothing.

    Args:
        experiment: The experiment of the model_dir.
        data: Its data.
        model_dir: Where the checkpoints are.
        checkpoint: Path prefix of a checkpoint. None: the newest.

    Raises:
        InputError: There is no checkpoint, or the named one is corrupt or belongs to another network.
    """
    checkpoint = checkpoints.checked(experiment, model_dir, checkpoint)
    evaluation = estimators.create(experiment, model_dir, data).classify(checkpoint)
    classified = classify_split.from_evaluation(experiment, evaluation, checkpoint)
    examples = len(classified.labels)
    calibration = statistics.calibration(classified.probabilities, classified.labels)
    result: Dict[str, Any] = {name: value.item() for name, value in evaluation.figures.items()}
    if experiment.metric:
        value = result.pop(experiment.metric_name)
        result["metrics"] = {experiment.metric_name: value if math.isfinite(value) else None}
    result["examples"], result["mistakes"] = examples, classified.mistakes
    result["accuracy_interval"] = list(statistics.wilson_interval(examples - classified.mistakes, examples))
    result["calibration_error"] = calibration.error
    result["calibration"] = [confidence_bin._asdict() for confidence_bin in calibration.bins]
    if experiment.classes > MANY_CLASSES:
        worst = worst_classes(class_metrics(classified, experiment.class_names), MANY_CLASSES)
        result["worst_classes"] = [experiment.class_names[index] for index in worst]
    return Evaluated(result, classified)


def show(result: Dict[str, Any], experiment: Experiment) -> None:
    """Prints an evaluation as a table, of many classes with the worst ones. `result`: as in `Evaluated`."""
    low, high = result["accuracy_interval"]
    rows = [
        ["loss", f"{result['loss']:.4f}"],
        ["accuracy", percent(result["accuracy"])],
        *([name, metric_value(value)] for name, value in result.get("metrics", {}).items()),
        ["95% interval (Wilson)", f"{percent(low)} to {percent(high)}"],
        [f"calibration error ({statistics.BINS} bins)", percent(result["calibration_error"])],
    ]
    names: Sequence[str] = experiment.class_names
    if "worst_classes" in result:
        rows.append([f"the {len(result['worst_classes'])} classes with the lowest F1, of {len(names):,}:", ""])
        names = result["worst_classes"]
    for name in names:
        accuracy = percent(result[f"accuracy_of_class/{name}"])
        rows.append([f"accuracy of {shortened(printable(name), NAME_LENGTH)}", accuracy])
    terminal.say(terminal.table(rows, [f"step {result['global_step']:,.0f}", f"{experiment.evaluated_split} split"]))
