"""The error of a run of `--recipe paper` beside the errors that LeCun et al. 1998 report (section III.B, figure 5).

Figure 5 gives no numbers for its points, so only the values from the text are drawn.
"""

from typing import Any, Dict, List

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from estimator_mnist.model_dir.event_files import Scalars
from estimator_mnist.report.plots import CURVE_SIZE, GRID, INK, TEST, TRAINING

# In percent: "the test error rate stabilizes after around 10 passes at 0.95%", "dropped to 0.8%" with distortions, "the
# error rate on the training set reaches 0.35% after 19 passes".
TEST_ERROR, TEST_ERROR_DISTORTED, STABLE_FROM = 0.95, 0.8, 10
TRAINING_ERROR, TRAINING_ERROR_AT = 0.35, 19
PASSES = 20


def figure(training: Scalars, evaluations: Dict[int, Dict[str, Any]], steps_per_epoch: int) -> Figure:
    """Draws the test error after each pass and the mean training error of each pass, which is measured on the fly.

    Args:
        training: The scalars of training.
        evaluations: {step: {"accuracy", ...}} on the test split.
        steps_per_epoch: Steps in a pass.
    """
    errors = Figure(figsize=CURVE_SIZE, layout="constrained")
    axes = errors.subplots()
    _plot_run(axes, training, evaluations, steps_per_epoch)
    _plot_paper(axes)
    axes.set(title="Error, beside LeCun et al. 1998", xlabel="passes through the training set", ylabel="error (%)")
    axes.set(xlim=(0, None), ylim=(0, 5))  # as in the paper's figure
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.grid(**GRID)
    axes.legend()
    return errors


def _plot_run(axes: Axes, training: Scalars, evaluations: Dict[int, Dict[str, Any]], steps_per_epoch: int) -> None:
    training_errors = _mean_error_of_passes(training, steps_per_epoch)
    passes = range(1, len(training_errors) + 1)
    axes.plot(passes, training_errors, "o-", color=TRAINING, markersize=4, label="training, mean of each pass")
    steps = sorted(step for step in evaluations if step)  # 0: the untrained network
    test_errors = [100 * (1 - evaluations[step]["accuracy"]) for step in steps]
    last = f": {test_errors[-1]:.2f}% at the end" if test_errors else ""
    axes.plot(
        [step / steps_per_epoch for step in steps], test_errors, "s--", color=TEST, markersize=4, label=f"test{last}"
    )


def _plot_paper(axes: Axes) -> None:
    style: Dict[str, Any] = {"color": INK, "linewidth": 1}
    stable = [STABLE_FROM, PASSES]
    axes.plot(stable, [TEST_ERROR] * 2, "-", **style, label=f"1998, test: {TEST_ERROR}%")
    distorted = f"1998, test, trained with distortions: {TEST_ERROR_DISTORTED}%"
    axes.plot(stable, [TEST_ERROR_DISTORTED] * 2, ":", **style, label=distorted)
    trained = f"1998, training: {TRAINING_ERROR}% after {TRAINING_ERROR_AT} passes"
    axes.plot([TRAINING_ERROR_AT], [TRAINING_ERROR], "x", **style, label=trained)


def _mean_error_of_passes(training: Scalars, steps_per_epoch: int) -> List[float]:
    """Returns the training error of each pass in percent, from the accuracies logged at even intervals within it."""
    errors_by_pass: Dict[int, List[float]] = {}
    for step, accuracy in training.get("accuracy", {}).items():
        errors_by_pass.setdefault((step - 1) // steps_per_epoch, []).append(100 * (1 - accuracy))
    return [sum(errors) / len(errors) for _, errors in sorted(errors_by_pass.items())]
