"""Pictures of a run, as PNG files in model_dir/plots."""

from pathlib import Path
from typing import Dict, List

from estimator_mnist.events import Scalars


def write_training_loss(
    epoch_means: List[float],
    training: Scalars,
    evaluations: Dict[int, Dict[str, float]],
    model_dir: Path,
    steps_per_epoch: int,
) -> Path:
    """Draws the training loss over the epochs, and the test loss beside it, and returns the picture's path.

    Args:
        epoch_means: Mean training loss of each epoch.
        training: The scalars of training.
        evaluations: {step: {"loss", ...}} on the test split.
        model_dir: The picture goes to its folder "plots".
        steps_per_epoch: Steps in an epoch.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
    losses = sorted(training.get("loss", {}).items())
    axes.plot([step / steps_per_epoch for step, _ in losses], [loss for _, loss in losses], color="C0", alpha=0.35)
    middles = [epoch + 0.5 for epoch in range(len(epoch_means))]
    axes.plot(middles, epoch_means, "o-", color="C0", label="training, mean of the epoch")
    tests = sorted((step, result["loss"]) for step, result in evaluations.items() if step)
    axes.plot(
        [step / steps_per_epoch for step, _ in tests], [loss for _, loss in tests], "s--", color="C1", label="test"
    )
    axes.set(xlabel="epoch", ylabel="cross entropy (nats)", yscale="log", title="Training loss")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    path = model_dir / "plots" / "training_loss.png"
    path.parent.mkdir(exist_ok=True)
    new = path.with_suffix(".new.png")
    figure.savefig(new, dpi=120)
    pyplot.close(figure)
    new.replace(path)
    return path
