"""Artifacts of a finished run: pictures, predictions, and what TensorBoard shows of the evaluated split."""

from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import numpy as np

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import metrics, statistics
from estimator_mnist.evaluation.metrics import Classified, Mistake
from estimator_mnist.evaluation.statistics import Calibration
from estimator_mnist.model_dir import checkpoints, predictions
from estimator_mnist.report import plots, run_curves, tensorboard_projector, tensorboard_summaries
from estimator_mnist.report.run_curves import History
from estimator_mnist.system.paths import path_of

SHOWN_MISTAKES = 24
# The curves' PNG files.
FILE_NAMES = {"loss": "training_loss", "accuracy": "training_accuracy", "error": "error", "metric": "metric"}
MAX_MATRIX = 1000  # classes of a confusion matrix: more would take gigabytes, and a pixel of the picture each


class Artifacts(NamedTuple):
    """The evaluated split, as the trained network classifies it, and its pictures."""

    classified: Classified
    matrix: Optional[np.ndarray]  # the confusion matrix, int64 [classes, classes]; None above MAX_MATRIX classes
    mistakes: List[Mistake]  # the most confident ones
    calibration: Calibration
    # SVG elements: "loss", "accuracy", "reliability"; with --metric "metric"; with the recipe "paper" "error".
    curves: Dict[str, str]
    # PNG files: "mistakes", "reliability", "confusion_matrix" up to MAX_MATRIX classes, "filters" if there are any.
    pictures: Dict[str, bytes]


def make(experiment: Experiment, classified: Classified, history: History, model_dir: Path) -> Artifacts:
    """Writes the pictures and predictions of a finished run, and what TensorBoard shows of its evaluated split.

    Args:
        experiment: The finished experiment.
        classified: Its evaluated split, as the last checkpoint classifies it.
        history: Its curves.
        model_dir: The run's folder.
    """
    matrix = metrics.confusion_matrix(classified) if classified.classes <= MAX_MATRIX else None
    mistakes = metrics.most_confident_mistakes(classified, SHOWN_MISTAKES)
    calibration = statistics.calibration(classified.probabilities, classified.labels)
    with plots.style():
        curves = run_curves.figures(experiment, history)
        curves["reliability"] = plots.reliability(calibration)
        pictures = _split_pictures(experiment, classified, matrix, mistakes)
        pictures["reliability"] = plots.png(curves["reliability"])
        training_pictures = {FILE_NAMES[name]: plots.png(curves[name]) for name in curves if name in FILE_NAMES}
        svgs = {name: plots.svg(curve, name) for name, curve in curves.items()}
    plots.write({**training_pictures, **pictures}, model_dir)
    predictions.write(predictions.Predictions(classified.labels, classified.probabilities), model_dir)
    tensorboard_projector.write(classified, experiment.class_names, model_dir)
    ended = path_of(f"{checkpoints.prefix(model_dir, experiment.total_steps)}.index").stat().st_mtime
    tensorboard_summaries.write(experiment, classified, pictures, ended, model_dir)
    return Artifacts(classified, matrix, mistakes, calibration, svgs, pictures)


def _split_pictures(
    experiment: Experiment, classified: Classified, matrix: Optional[np.ndarray], mistakes: List[Mistake]
) -> Dict[str, bytes]:
    """Returns the pictures of the evaluated split but the calibration's, as PNG files."""
    names, pictures = experiment.class_names, {}
    if matrix is not None:
        pictures["confusion_matrix"] = plots.png(plots.confusion_matrix(matrix, names, classified.split))
    pictures["mistakes"] = plots.png(plots.mistakes(classified, mistakes, names))
    if classified.filters is not None:
        pictures["filters"] = plots.png(plots.filters(classified.filters))
    return pictures
