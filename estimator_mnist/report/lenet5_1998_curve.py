"""The error of a run of `--recipe paper` beside what LeCun et al. 1998 say of theirs (section III.B, figure 5).

The figure has no numbers at its points: only what the text says is drawn.
"""

from typing import Any, Dict, List

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from estimator_mnist.model_dir.event_files import Scalars
from estimator_mnist.report.plots import INK, TEST, TRAINING

# In percent: "the test error rate stabilizes after around 10 passes at 0.95%", "dropped to 0.8%" with distortions, "the
# error rate on the training set reaches 0.35% after 19 passes".
TEST_ERROR, TEST_ERROR_DISTORTED, STABLE_FROM = 0.95, 0.8, 10
TRAINING_ERROR, TRAINING_ERROR_AT = 0.35, 19
PASSES = 20


def figure(training: Scalars, evaluations: Dict[int, Dict[str, Any]], steps_per_epoch: int) -> Figure:
    """Draws the errors over the passes: on the test split after each, in training the mean of each, on the fly.

    Args:
        training: The scalars of training.
        evaluations: {step: {"accuracy", ...}} on the test split.
        steps_per_epoch: Steps in a pass.
    """
    made = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = made.subplots()
    trained = _mean_error_of_passes(training, steps_per_epoch)
    axes.plot(
        range(1, len(trained) + 1), trained, "o-", color=TRAINING, markersize=4, label="training, mean of the pass"
    )
    steps = sorted(step for step in evaluations if step)
    errors = [100 * (1 - evaluations[step]["accuracy"]) for step in steps]
    passes = [step / steps_per_epoch for step in steps]
    last = f": {errors[-1]:.2f}% at the end" if errors else ""
    axes.plot(passes, errors, "s--", color=TEST, markersize=4, label=f"test{last}")
    paper: Dict[str, Any] = {"color": INK, "linewidth": 1}
    axes.plot([STABLE_FROM, PASSES], [TEST_ERROR] * 2, "-", **paper, label=f"1998, test: {TEST_ERROR}%")
    distorted = f"1998, test, trained on distortions: {TEST_ERROR_DISTORTED}%"
    axes.plot([STABLE_FROM, PASSES], [TEST_ERROR_DISTORTED] * 2, ":", **paper, label=distorted)
    trained_1998 = f"1998, training: {TRAINING_ERROR}% after {TRAINING_ERROR_AT} passes"
    axes.plot([TRAINING_ERROR_AT], [TRAINING_ERROR], "x", **paper, label=trained_1998)
    axes.set(title="Error and what the paper reports", xlabel="passes through the training set", ylabel="error (%)")
    axes.set(xlim=(0, None), ylim=(0, 5))  # as in the paper's figure
    axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axes.grid(color=INK, alpha=0.12, linewidth=0.6)
    axes.legend()
    return made


def _mean_error_of_passes(training: Scalars, steps_per_epoch: int) -> List[float]:
    """Returns the training error of each pass in percent, from the accuracies logged at even intervals within it."""
    of_pass: Dict[int, List[float]] = {}
    for step, accuracy in training.get("accuracy", {}).items():
        of_pass.setdefault((step - 1) // steps_per_epoch, []).append(100 * (1 - accuracy))
    return [sum(errors) / len(errors) for _, errors in sorted(of_pass.items())]
