"""The curves of a run: loss, accuracy and the user's metric, from its event files."""

from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

from matplotlib.figure import Figure

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model import losses
from estimator_mnist.model_dir import event_files
from estimator_mnist.model_dir.event_files import Scalars
from estimator_mnist.report import lenet5_1998_curve, training_curves
from estimator_mnist.report.plots import CURVE_SIZE
from estimator_mnist.report.training_curves import Curve


class History(NamedTuple):
    """The curves of a run, as numbers."""

    train_loss: List[float]  # mean of each epoch; empty for a run that is not finished
    training: Scalars  # as logged in training
    evaluations: Dict[int, Dict[str, float]]  # {step: {"loss", "accuracy", ...}}


def read(model_dir: Path, results: Optional[Dict[str, Any]]) -> History:
    """Returns the history of a run.

    Args:
        model_dir: Its folder.
        results: The content of its results.json; None for a run that is not finished.
    """
    train_loss = results["train_loss"] if results else []
    return History(train_loss, event_files.scalars(model_dir), event_files.evaluations(model_dir))


def figures(experiment: Experiment, history: History) -> Dict[str, Figure]:
    """Returns "loss", "accuracy", with --metric "metric", and with the recipe "paper" "error"."""
    epoch, split = experiment.steps_per_epoch, experiment.evaluated_split
    units = _units(experiment)
    curves = {
        name: training_curves.figure(curve, epoch, units[name], split)
        for name, curve in _curves(experiment, history).items()
    }
    if experiment.recipe == "paper":
        curves["error"] = lenet5_1998_curve.figure(history.training, history.evaluations, epoch)
    return curves


def in_one_figure(experiment: Experiment, history: History) -> Figure:
    """Returns the curves of `figures`, but "error", beside each other in one figure."""
    curves, units = _curves(experiment, history), _units(experiment)
    width, height = CURVE_SIZE
    figure = Figure(figsize=(width * len(curves), height), layout="constrained")
    for axes, (name, curve) in zip(figure.subplots(ncols=len(curves)), curves.items()):
        training_curves.draw(axes, curve, experiment.steps_per_epoch, units[name], experiment.evaluated_split)
    return figure


def _curves(experiment: Experiment, history: History) -> Dict[str, Curve]:
    def curve(quantity: str, tag: str, epoch_means: List[float]) -> Curve:
        evaluations = {step: figures[tag] for step, figures in history.evaluations.items() if tag in figures}
        return Curve(quantity, epoch_means, history.training.get(quantity, {}), evaluations)

    curves = {"loss": curve("loss", "loss", history.train_loss), "accuracy": curve("accuracy", "accuracy", [])}
    metric = experiment.metric_name
    return {**curves, "metric": curve("metric", metric, [])} if metric else curves


def _units(experiment: Experiment) -> Dict[str, str]:
    return {"loss": losses.create(experiment).unit, "accuracy": "accuracy", "metric": experiment.metric_name}
