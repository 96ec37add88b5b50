"""What a run shows on the terminal: a progress bar where there is one, plain lines elsewhere."""

import contextlib
import json
import os
import sys
from typing import Any, Dict, Iterator, List, Optional, Sequence

from tabulate import tabulate
from tqdm import tqdm

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation.metrics import Classified
from input_fns import Data

SHOWN_PREDICTIONS = 6
# Environment variable: a pipe to a process that shows the progress in this one's place.
PROGRESS_PIPE = "ESTIMATOR_MNIST_PROGRESS_PIPE"


def say(line: str) -> None:
    """Prints a line, above the progress bar if one is shown."""
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """A context in which nothing reaches the terminal, not even what C++ writes past Python's streams."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in kept:
            os.dup2(nowhere, stream)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, before in kept.items():
            os.dup2(before, stream)
            os.close(before)
        os.close(nowhere)


def table(rows: Sequence[Sequence[Any]], headers: Sequence[str] = ()) -> str:
    """Returns rows as a table; numbers to the right, as they are."""
    numeric = [index for index in range(len(rows[0])) if index]
    align = ["right" if index in numeric else "left" for index in range(len(rows[0]))]
    return tabulate([list(map(str, row)) for row in rows], headers, colalign=align, disable_numparse=True)


def percent(share: float) -> str:
    return f"{100 * share:.2f}%"


class Progress:
    """A run's progress. A context: within it the bar stands, if standard error is a terminal."""

    def __init__(self, experiment: Experiment, start: int):
        self._experiment = experiment
        self._bar = tqdm(
            total=experiment.total_steps,
            initial=start,
            unit="step",
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
            bar_format="{percentage:3.0f}% |{bar}| step {n_fmt}/{total_fmt}, {remaining} left{postfix}",
        )
        self._step = start
        pipe = os.environ.pop(PROGRESS_PIPE, None)  # not for processes that this one starts
        self._told = open(int(pipe), "w", buffering=1) if pipe else None  # noqa: SIM115  closed with the bar
        self._scalars: Optional[Dict[str, float]] = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
        if self._told:
            self._told.close()

    def trained(self, step: int, scalars: Dict[str, float]) -> None:
        """Shows the step that training has come to, with loss, accuracy and images_per_second."""
        self._scalars = scalars
        if self._told:
            with contextlib.suppress(BrokenPipeError):  # nobody looks any more
                self._told.write(json.dumps([step, scalars]) + "\n")
        self._bar.set_postfix_str(_describe(scalars), refresh=False)
        self._bar.update(step - self._step)
        self._step = step

    def evaluated(self, result: Dict[str, float], just_trained: bool = True) -> None:
        """Shows the result of an evaluation, with that of the training if it is of the step that this has come to."""
        step = int(result["global_step"])
        epoch = step / self._experiment.steps_per_epoch
        parts = [f"step {step:>{len(str(self._experiment.total_steps))}}, epoch {epoch:.3g}:"]
        if self._scalars and just_trained:
            parts.append(f"train {_describe(self._scalars)};")
        parts.append(
            f"{self._experiment.evaluated_split} loss {result['loss']:.4f}, accuracy {percent(result['accuracy'])}"
        )
        say(" ".join(parts))


def _describe(scalars: Dict[str, float]) -> str:
    return (
        f"loss {scalars['loss']:.4f}, accuracy {percent(scalars['accuracy'])}, "
        f"{scalars['images_per_second']:,.0f} images/s"
    )


def show_data(data: Data, evaluated_split: str = "test") -> None:
    """Prints what is known of a data set, of which the training and the evaluated split are used."""
    say(data.description)
    say(f"{data.train.examples:,} training and {data.test.examples:,} {evaluated_split} images, 28x28x1, uint8")
    say(f"{len(data.class_names)} classes: {', '.join(data.class_names)}\n")


def show_network(rows: Sequence[Any]) -> None:
    """Prints the table of a network's layers; `rows` are `networks.Row`s."""
    lines = [[row.layer, " x ".join(map(str, row.output_shape)), f"{row.parameters:,}"] for row in rows]
    lines.append(["total", "", f"{sum(row.parameters for row in rows):,}"])
    say(table(lines, ["layer", "output shape", "parameters"]) + "\n")


def show_results(results: Dict[str, Any]) -> None:
    """Prints the table of a finished run; `results` as in results.json."""
    untrained, final, best = results["untrained"], results["final"], results["best"]
    split = f"{results.get('evaluated_split', 'test')} split"
    train_loss, seconds = results["train_loss"], results["seconds"]["training"]
    rows: List[Sequence[str]] = [
        [f"{split}, untrained", f"{untrained['test_loss']:.4f}", percent(untrained["test_accuracy"])],
        ["training, mean of the first epoch", f"{train_loss[0]:.4f}", ""],
        ["training, mean of the last epoch", f"{train_loss[-1]:.4f}", ""],
        [f"{split}, trained", f"{final['test_loss']:.4f}", percent(final["test_accuracy"])],
        [f"{split}, best (step {best['global_step']:,})", "", percent(best["test_accuracy"])],
    ]
    say("\n" + table(rows, ["", "loss", "accuracy"]))
    speed = f"{results['images_per_second']:,.0f} images/s"
    say(f"\nTraining took {seconds:.1f} s from the first epoch to the last ({len(train_loss)}), at {speed}.")


def show_predictions(classified: Classified, class_names: Sequence[str]) -> None:
    """Prints logits and softmax in percent of the first images, a row an image and kind, a column a class."""
    rows: List[List[str]] = []
    for index, label in enumerate(classified.labels[:SHOWN_PREDICTIONS]):
        logits, probabilities = classified.logits[index], classified.probabilities[index]
        rows.append([str(index), class_names[label], "logits", *(f"{value:.1f}" for value in logits)])
        rows.append(["", "", "softmax %", *(f"{100 * value:.2f}" for value in probabilities)])
    say("\n" + table(rows, [f"{classified.split} image", "label", "", *class_names]))
