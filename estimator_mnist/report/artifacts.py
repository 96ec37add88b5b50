"""Artifacts of a finished run: pictures, predictions, and what TensorBoard shows of the evaluated split."""

from pathlib import Path
from typing import Dict, List, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import metrics, statistics
from estimator_mnist.evaluation.metrics import Classified, Mistake
from estimator_mnist.evaluation.statistics import Calibration
from estimator_mnist.model import losses
from estimator_mnist.model_dir import checkpoints, predictions
from estimator_mnist.model_dir.event_files import Scalars
from estimator_mnist.report import (
    lenet5_1998_curve,
    plots,
    tensorboard_projector,
    tensorboard_summaries,
    training_curves,
)
from estimator_mnist.report.training_curves import Curve
from estimator_mnist.system.paths import path_of

SHOWN_MISTAKES = 24
# The curves' PNG files.
FILE_NAMES = {"loss": "training_loss", "accuracy": "training_accuracy", "error": "error"}


class History(NamedTuple):
    """The curves of a finished run."""

    train_loss: List[float]  # mean of each epoch
    training: Scalars  # as logged in training
    evaluations: Dict[int, Dict[str, float]]  # {step: {"loss", "accuracy", ...}}


class Artifacts(NamedTuple):
    """The evaluated split, as the trained network classifies it, and its pictures."""

    classified: Classified
    matrix: np.ndarray  # the confusion matrix, int64 [classes, classes]
    mistakes: List[Mistake]  # the most confident ones
    calibration: Calibration
    curves: Dict[str, str]  # SVG svgs: "loss", "accuracy", "reliability"; with the recipe "paper", "error"
    filters: bytes  # the first layer's, as a PNG file


def make(experiment: Experiment, classified: Classified, history: History, model_dir: Path) -> Artifacts:
    """Writes the pictures and predictions of a finished run, and what TensorBoard shows of its evaluated split.

    Args:
        experiment: The finished experiment.
        classified: Its evaluated split, as the last checkpoint classifies it.
        history: Its curves.
        model_dir: The run's folder.
    """
    matrix = metrics.confusion_matrix(classified)
    mistakes = metrics.most_confident_mistakes(classified, SHOWN_MISTAKES)
    calibration = statistics.calibration(classified.probabilities, classified.labels)
    with plots.style():
        curves = _curves(experiment, history)
        curves["reliability"] = plots.reliability(calibration)
        split_pictures = {
            "confusion_matrix": plots.png(plots.confusion_matrix(matrix, experiment.class_names, classified.split)),
            "mistakes": plots.png(plots.mistakes(classified, mistakes, experiment.class_names)),
            "filters": plots.png(plots.filters(classified.filters)),
            "reliability": plots.png(curves["reliability"]),
        }
        training_pictures = {FILE_NAMES[name]: plots.png(curves[name]) for name in curves if name in FILE_NAMES}
        svgs = {name: plots.svg(curve, name) for name, curve in curves.items()}
    plots.write({**training_pictures, **split_pictures}, model_dir)
    predictions.write(predictions.Predictions(classified.labels, classified.probabilities), model_dir)
    tensorboard_projector.write(classified, experiment.class_names, model_dir)
    ended = path_of(f"{checkpoints.prefix(model_dir, experiment.total_steps)}.index").stat().st_mtime
    tensorboard_summaries.write(experiment, classified, split_pictures, ended, model_dir)
    return Artifacts(classified, matrix, mistakes, calibration, svgs, split_pictures["filters"])


def _curves(experiment: Experiment, history: History) -> Dict[str, Figure]:
    """Returns the figures of the training: "loss", "accuracy" and, with the recipe "paper", "error"."""
    epoch, split = experiment.steps_per_epoch, experiment.evaluated_split
    loss, accuracy = _curve("loss", history, history.train_loss), _curve("accuracy", history, epoch_means=[])
    curves = {
        "loss": training_curves.figure(loss, epoch, losses.create(experiment).unit, split),
        "accuracy": training_curves.figure(accuracy, epoch, "accuracy", split),
    }
    if experiment.recipe == "paper":
        curves["error"] = lenet5_1998_curve.figure(history.training, history.evaluations, epoch)
    return curves


def _curve(quantity: str, history: History, epoch_means: List[float]) -> Curve:
    evaluations = {step: metrics_at_step[quantity] for step, metrics_at_step in history.evaluations.items()}
    return Curve(quantity, epoch_means, history.training.get(quantity, {}), evaluations)
