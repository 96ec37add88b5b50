"""The loss, accuracy or user's metric of a run over its epochs, in training and in the evaluations."""

from typing import Dict, NamedTuple, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from estimator_mnist.report import class_labels
from estimator_mnist.report.plots import CURVE_SIZE, GRID, TEST, TRAINING

HIGHEST_BOTTOM = 0.999  # of the accuracies' axis: one that is 1 throughout still gets an axis of some height


class Curve(NamedTuple):
    """A quantity over the steps of a run."""

    quantity: str  # "loss", "accuracy" or "metric", the user's
    epoch_means: Sequence[float]  # over the training examples of each epoch; may be empty
    training: Dict[int, float]  # {step: value}, as logged in training; empty for a metric
    evaluations: Dict[int, float]  # {step: value}


def figure(curve: Curve, steps_per_epoch: int, unit: str = "accuracy", split: str = "test") -> Figure:
    """Draws a quantity in training and in the evaluations, over the epochs.

    Args:
        curve: The quantity.
        steps_per_epoch: Steps in an epoch.
        unit: The y axis' label.
        split: The evaluated split, "test" or "validation".
    """
    curves = Figure(figsize=CURVE_SIZE, layout="constrained")
    draw(curves.subplots(), curve, steps_per_epoch, unit, split)
    return curves


def draw(axes: Axes, curve: Curve, steps_per_epoch: int, unit: str, split: str) -> None:
    """Draws a quantity into axes that exist; arguments as of `figure`."""
    if curve.training or curve.epoch_means:
        _plot_training(axes, curve, steps_per_epoch)
    evaluated = sorted((step, value) for step, value in curve.evaluations.items() if step)  # 0: the untrained network
    epochs, values = [step / steps_per_epoch for step, _ in evaluated], [value for _, value in evaluated]
    axes.plot(epochs, values, "s--", color=TEST, markersize=4, label=split)
    axes.set_title(curve.quantity.capitalize() if curve.quantity in ("loss", "accuracy") else "Metric")
    axes.set_ylabel(unit if class_labels.drawable(unit) else curve.quantity)
    if curve.quantity == "loss" and _has_logarithms([*values, *curve.epoch_means, *curve.training.values()]):
        axes.set_yscale("log")
        _label_decades(axes)
    elif curve.quantity == "accuracy":
        _leave_out_first_steps(axes, curve, steps_per_epoch, values)
    axes.set_xlabel("epoch")
    axes.set_xlim(left=0)
    last_epoch = max([*curve.training, *curve.evaluations], default=0) / steps_per_epoch
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=last_epoch > 1))
    axes.grid(**GRID)
    axes.legend()


def _has_logarithms(values: Sequence[float]) -> bool:
    """Tells whether a logarithmic axis can show values. The loss of one class is 0, and a user's may be negative."""
    return max(values, default=0.0) > 0 and min(values) >= 0


def _plot_training(axes: Axes, curve: Curve, steps_per_epoch: int) -> None:
    """Plots the epoch means if there are any, and the values logged in training, faint behind them."""
    epoch_means, logged = curve.epoch_means, sorted(curve.training.items())
    axes.plot(
        [step / steps_per_epoch for step, _ in logged],
        [value for _, value in logged],
        color=TRAINING,
        linewidth=1,
        alpha=0.4 if epoch_means else 1,
        label=None if epoch_means else "training",
    )
    if epoch_means:
        mid_epochs = [epoch + 0.5 for epoch in range(len(epoch_means))]
        axes.plot(mid_epochs, epoch_means, "o-", color=TRAINING, markersize=4, label="training, mean of each epoch")


def _label_decades(axes: Axes) -> None:
    """Labels a logarithmic y axis: 1, 2 and 5 of each decade, or every digit if the axis spans less than one."""
    decades = np.ptp(np.log10(axes.get_ylim()))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if decades > 1 else range(1, 10)))
    axes.yaxis.set_major_formatter("{x:g}")  # 0.05: the default, 5 x 10^-2, would need the slow formula parser
    axes.yaxis.set_minor_locator(NullLocator())


def _leave_out_first_steps(axes: Axes, curve: Curve, steps_per_epoch: int, evaluations: Sequence[float]) -> None:
    """Starts the y axis below the evaluations and the accuracies logged after the first half epoch.

    Accuracies of the first steps are of no interest, and would flatten all later ones into a line.
    """
    later = (value for step, value in sorted(curve.training.items()) if step >= steps_per_epoch / 2)
    low = min([*evaluations, *later], default=0.0)
    low = low if low < 1 else HIGHEST_BOTTOM
    axes.set_ylim(max(0.0, low - 0.25 * (1 - low)), 1 + 0.03 * (1 - low))
