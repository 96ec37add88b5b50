"""What is made of a run that has come to its end: pictures, and what TensorBoard shows of the evaluated split."""

from pathlib import Path
from typing import Dict, List, NamedTuple

import numpy as np

import input_fns
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import classify_split, metrics, statistics
from estimator_mnist.evaluation.metrics import Classified, Mistake
from estimator_mnist.evaluation.statistics import Calibration
from estimator_mnist.model import losses
from estimator_mnist.model_dir import checkpoints, predictions
from estimator_mnist.model_dir.event_files import Scalars
from estimator_mnist.report import lenet5_1998_curve, plots, tensorboard_projector, tensorboard_summaries
from estimator_mnist.system.paths import path_of

SHOWN_MISTAKES = 24


class Ending(NamedTuple):
    """The evaluated split as the trained network classifies it, and the pictures of it."""

    classified: Classified
    matrix: np.ndarray  # the confusion matrix
    mistakes: List[Mistake]  # made with the highest probability
    calibration: Calibration
    curves: Dict[str, str]  # "loss", "accuracy", "reliability", of the recipe "paper" also "error" -> SVG element
    filters: bytes  # of the first layer, a PNG file


def make(
    experiment: Experiment,
    data: input_fns.Data,
    train_loss: List[float],
    training: Scalars,
    tests: Dict[int, Dict[str, float]],
    model_dir: Path,
) -> Ending:
    """Classifies the evaluated split with the last checkpoint, and writes its pictures and predictions, and what
    TensorBoard shows of it.

    Args:
        experiment: The finished experiment.
        data: Its data.
        train_loss: Mean training loss of each epoch.
        training: The scalars of its training.
        tests: {step: {"loss", "accuracy", ...}} of its evaluations.
        model_dir: Where it lives.
    """
    names, checkpoint = experiment.class_names, checkpoints.prefix(model_dir, experiment.total_steps)
    classified = classify_split.over_split(experiment, data, checkpoint)
    matrix = metrics.confusion_matrix(classified)
    mistakes = metrics.most_confident_mistakes(classified, SHOWN_MISTAKES)
    calibration = statistics.calibration(classified.probabilities, classified.labels)

    with plots.style():
        epoch, split, unit = experiment.steps_per_epoch, experiment.evaluated_split, losses.create(experiment).unit
        loss = plots.training_curves("loss", train_loss, training, tests, epoch, unit, split)
        accuracy = plots.training_curves("accuracy", [], training, tests, epoch, split=split)
        reliability = plots.reliability(calibration)
        curves = {"training_loss": plots.png(loss), "training_accuracy": plots.png(accuracy)}
        of_test = {
            "confusion_matrix": plots.png(plots.confusion_matrix(matrix, names, split)),
            "mistakes": plots.png(plots.mistakes(classified, mistakes, names)),
            "filters": plots.png(plots.filters(classified.filters)),
            "reliability": plots.png(reliability),
        }
        elements = {"loss": plots.svg(loss, "loss"), "accuracy": plots.svg(accuracy, "accuracy")}
        elements["reliability"] = plots.svg(reliability, "reliability")
        if experiment.recipe == "paper":
            error = lenet5_1998_curve.figure(training, tests, experiment.steps_per_epoch)
            curves["error"], elements["error"] = plots.png(error), plots.svg(error, "error")
    plots.write({**curves, **of_test}, model_dir)
    predictions.write(classified, model_dir)
    tensorboard_projector.write(classified, names, model_dir)
    tensorboard_summaries.write(
        experiment, classified, of_test, path_of(f"{checkpoint}.index").stat().st_mtime, model_dir
    )
    return Ending(classified, matrix, mistakes, calibration, elements, of_test["filters"])
