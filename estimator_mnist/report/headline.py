"""The figures at the top of a report, as text."""

from typing import Any, Dict, List, NamedTuple

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.system.terminal import metric_value, percent


class Item(NamedTuple):
    """A figure with its name, and a remark in smaller letters."""

    name: str
    value: str
    remark: str


def summary(experiment: Experiment) -> str:
    """Returns what a run trains on what, for how long."""
    epochs = experiment.epochs
    return (
        f"{experiment.model} on {experiment.dataset}: {experiment.train_examples:,} training and "
        f"{experiment.test_examples:,} {experiment.evaluated_split} images, {epochs} epoch{'s' if epochs != 1 else ''} "
        f"({experiment.total_steps:,} steps of {experiment.batch_size:,}), seed {experiment.seed}"
    )


def items(experiment: Experiment, results: Dict[str, Any]) -> List[Item]:
    """Returns the figures of a finished run.

    Args:
        experiment: The finished experiment.
        results: The content of its results.json.
    """
    split, examples = experiment.evaluated_split.capitalize(), results["test_examples"]
    untrained, final = results["untrained"], results["final"]
    accuracy, last_train_loss = final["test_accuracy"], results["train_loss"][-1]
    return [
        Item(f"{split} accuracy", percent(accuracy), f"untrained {percent(untrained['test_accuracy'])}"),
        *(
            Item(f"{split} {name}", metric_value(values["final"]), f"untrained {metric_value(values['untrained'])}")
            for name, values in results["metrics"].items()
        ),
        Item("Mistakes", f"{round((1 - accuracy) * examples):,}", f"of {examples:,}"),
        Item(f"{split} loss", f"{final['test_loss']:.4f}", f"training {last_train_loss:.4f}"),
        Item("Parameters", f"{results['parameters']:,}", ""),
        Item("Training", f"{results['seconds']['training']:.1f} s", f"{results['images_per_second']:,.0f} images/s"),
        _best(results),
    ]


def _best(results: Dict[str, Any]) -> Item:
    best, by = results["best"], results["best_metric"]
    if by in results["metrics"]:
        return Item(f"Best {by}", metric_value(results["metrics"][by]["best"]), f"at step {best['global_step']:,}")
    remark = f"at step {best['global_step']:,}" if by == "accuracy" else f"by {by}, at step {best['global_step']:,}"
    return Item("Best evaluation", percent(best["test_accuracy"]), remark)
