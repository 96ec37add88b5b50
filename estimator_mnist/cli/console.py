"""What a run shows on the terminal: tables, lines, and a progress bar where standard error is a terminal."""

import contextlib
import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from tqdm import tqdm

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation.metrics import Classified
from estimator_mnist.model_dir.results import FILE_NAME
from estimator_mnist.system import command_name
from estimator_mnist.system.terminal import metric_value, percent, printable, say, shortened, table
from estimator_mnist.training.progress import Progress
from input_fns import Data

SHOWN_PREDICTIONS = 6
MOST_COLUMNS = 12  # one for each class; of more classes, the TOP ones of each image are shown
TOP = 5
NAME_LENGTH = 20  # characters of a class name in a table
SHOWN_NAMES = 20  # of classes, in a line
# Environment variable: a pipe to the process that shows the progress of this one.
PROGRESS_PIPE = "ESTIMATOR_MNIST_PROGRESS_PIPE"


class TerminalProgress(Progress):
    """The progress of a run. While it is entered as a context it shows a bar if standard error is a terminal."""

    def __init__(self, experiment: Experiment, start: int = 0):
        """Args:
        experiment: The run.
        start: The step that it resumes from.
        """
        self._experiment = experiment
        self._step = start
        pipe = os.environ.pop(PROGRESS_PIPE, None)  # popped, so that child processes do not inherit it
        self._pipe = open(int(pipe), "w", buffering=1) if pipe else None  # noqa: SIM115  closed with the bar
        self._scalars: Optional[Dict[str, float]] = None

    def __enter__(self) -> "TerminalProgress":
        self._bar = tqdm(
            total=self._experiment.total_steps,
            initial=self._step,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
            bar_format="{percentage:3.0f}% |{bar}| step {n_fmt}/{total_fmt}, {remaining} left{postfix}",
        )
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
        if self._pipe:
            self._pipe.close()

    def say(self, line: str) -> None:
        """Prints a line above the bar."""
        say(line)

    def network(self, rows: List[Any]) -> None:
        """Prints the table of the layers."""
        say(network_table(rows) + "\n")

    def begins(self, step: int) -> None:
        """Starts the bar at a step; called before it is shown."""
        self._step = step

    def trained(self, step: int, scalars: Dict[str, float]) -> None:
        """Moves the bar to a step and shows its "loss", "accuracy" and "images_per_second"."""
        self._scalars = scalars
        if self._pipe:
            with contextlib.suppress(BrokenPipeError):  # the reader has ended
                self._pipe.write(json.dumps([step, scalars]) + "\n")
        self._bar.set_postfix_str(_describe(scalars), refresh=False)
        self._bar.update(step - self._step)
        self._step = step

    def evaluated(self, result: Dict[str, float], just_trained: bool = True) -> None:
        """Prints the result of an evaluation.

        Args:
            result: "global_step", "loss", "accuracy" and, by its name, the user's metric.
            just_trained: Whether the evaluated step is the one that training has reached: then its scalars are printed.
        """
        step = int(result["global_step"])
        epoch = step / self._experiment.steps_per_epoch
        parts = [f"step {step:>{len(str(self._experiment.total_steps))}}, epoch {epoch:.3g}:"]
        if self._scalars and just_trained:
            parts.append(f"train {_describe(self._scalars)};")
        figures = [f"loss {result['loss']:.4f}", f"accuracy {percent(result['accuracy'])}"]
        if self._experiment.metric:
            figures.append(f"{self._experiment.metric_name} {result[self._experiment.metric_name]:.4f}")
        say(" ".join([*parts, self._experiment.evaluated_split, ", ".join(figures)]))


def _describe(scalars: Dict[str, float]) -> str:
    return (
        f"loss {scalars['loss']:.4f}, accuracy {percent(scalars['accuracy'])}, "
        f"{scalars['images_per_second']:,.0f} images/s"
    )


def show_data(data: Data, evaluated_split: str = "test") -> None:
    """Prints the description, the sizes and the classes of the data that a run trains and is evaluated on."""
    say(printable(data.description))
    shape = "x".join(map(str, data.image_shape))
    say(f"{data.train.examples:,} training and {data.test.examples:,} {evaluated_split} images, {shape}, uint8")
    names = data.class_names
    shown = ", ".join(printable(name) for name in names[:SHOWN_NAMES])
    more = f" and {len(names) - SHOWN_NAMES:,} more" if len(names) > SHOWN_NAMES else ""
    say(f"{len(names):,} class{'es' if len(names) != 1 else ''}: {shown}{more}\n")


def network_table(rows: Sequence[Any]) -> str:
    """Returns the table of a network's layers: `rows` have `layer`, `output_shape` and `parameters`."""
    lines = [[row.layer, " x ".join(map(str, row.output_shape)), f"{row.parameters:,}"] for row in rows]
    lines.append(["total", "", f"{sum(row.parameters for row in rows):,}"])
    return table(lines, ["layer", "output shape", "parameters"])


def show_results(results: Dict[str, Any]) -> None:
    """Prints the table of a finished run.

    Args:
        results: The content of results.json.
    """
    untrained, final, best = results["untrained"], results["final"], results["best"]
    split, best_metric = f"{results['evaluated_split']} split", results["best_metric"]
    train_loss, seconds = results["train_loss"], results["seconds"]["training"]
    by = "" if best_metric == "accuracy" else f" by {best_metric}"
    metrics = results["metrics"]

    def of_metrics(when: str) -> List[str]:
        return [metric_value(values[when]) for values in metrics.values()]

    none = [""] * len(metrics)
    rows: List[Sequence[str]] = [
        [f"{split}, untrained", *_loss_and_accuracy(untrained), *of_metrics("untrained")],
        ["training, mean of the first epoch", f"{train_loss[0]:.4f}", "", *none],
        ["training, mean of the last epoch", f"{train_loss[-1]:.4f}", "", *none],
        [f"{split}, trained", *_loss_and_accuracy(final), *of_metrics("final")],
        [f"{split}, best{by} (step {best['global_step']:,})", "", percent(best["test_accuracy"]), *of_metrics("best")],
    ]
    say("\n" + table(rows, ["", "loss", "accuracy", *metrics]))
    speed = f"{results['images_per_second']:,.0f} images/s"
    say(f"\nTraining took {seconds:.1f} s from the first epoch to the last ({len(train_loss)}), at {speed}.")


def _loss_and_accuracy(figures: Dict[str, float]) -> List[str]:
    return [f"{figures['test_loss']:.4f}", percent(figures["test_accuracy"])]


def show_files(model_dir: Path) -> None:
    """Prints where a finished run has left what a user may want to open."""
    say(f"\nReport: {model_dir / 'report.html'}")
    say(f"Results: {model_dir / FILE_NAME}   Plots: {model_dir / 'plots'}")
    say(f"SavedModels: {model_dir / 'export' / 'final'} and, of the best evaluation, {model_dir / 'export' / 'best'}")
    for trace in sorted(model_dir.glob("profile/timeline-*.json")):
        say(f"Trace: {trace} (open it in chrome://tracing)")
    say(f"TensorBoard: {command_name.text()} tensorboard --logdir {shlex.quote(str(model_dir))}")


def show_predictions(classified: Classified, class_names: Sequence[str]) -> None:
    """Prints what the network answers to the first images.

    With few classes these are the logits and the softmax, in percent, of each. With many they are the most probable
    classes.

    Args:
        classified: The evaluated split, classified.
        class_names: Of the classes.
    """
    names = [shortened(printable(name), NAME_LENGTH) for name in class_names]
    header = [f"{classified.split} image", "label"]
    if len(names) > MOST_COLUMNS:
        say("\n" + table(_top_classes(classified, names), [*header, *(f"no. {place + 1}" for place in range(TOP))]))
        return
    rows: List[List[str]] = []
    for index, label in enumerate(classified.labels[:SHOWN_PREDICTIONS]):
        logits, probabilities = classified.logits[index], classified.probabilities[index]
        rows.append([str(index), names[label], "logits", *(f"{value:.1f}" for value in logits)])
        rows.append(["", "", "softmax %", *(f"{100 * value:.2f}" for value in probabilities)])
    say("\n" + table(rows, [*header, "", *names]))


def _top_classes(classified: Classified, names: Sequence[str]) -> List[List[str]]:
    """Returns a row for each of the first images: its number, its label, and the most probable classes."""
    rows = []
    for index, label in enumerate(classified.labels[:SHOWN_PREDICTIONS]):
        probabilities = classified.probabilities[index]
        top = (-probabilities).argsort(kind="stable")[:TOP]
        rows.append([str(index), names[label], *(f"{names[best]} {100 * probabilities[best]:.2f}%" for best in top)])
    return rows
