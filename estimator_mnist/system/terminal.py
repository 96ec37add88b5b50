"""Printing to the terminal: lines, tables, percentages. No control character of foreign text gets through."""

import contextlib
import json
import os
import sys
from typing import Any, Dict, Iterator, Optional, Sequence

from tabulate import tabulate
from tqdm import tqdm

from estimator_mnist.config.experiment import Experiment

# Environment variable: a pipe to a process that shows the progress in this one's place.
PROGRESS_PIPE = "ESTIMATOR_MNIST_PROGRESS_PIPE"


def say(line: str) -> None:
    """Prints one or more lines, above the progress bar if one is shown. Control characters are escaped."""
    tqdm.write("\n".join(map(printable, line.split("\n"))), file=sys.stdout)
    sys.stdout.flush()


def printable(text: str) -> str:
    """Returns a text with all characters escaped that would not print as themselves, line breaks among them.

    Names of classes and files come from elsewhere: an escape sequence in them could repaint the terminal.
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """A context that discards all output, also what C++ writes past Python's streams."""
    sys.stdout.flush()
    sys.stderr.flush()
    originals = {stream: os.dup(stream) for stream in (1, 2)}
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        for stream in originals:
            os.dup2(devnull, stream)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, original in originals.items():
            os.dup2(original, stream)
            os.close(original)
        os.close(devnull)


def table(rows: Sequence[Sequence[Any]], headers: Sequence[str] = ()) -> str:
    """Returns a table with its first column aligned left and the others right. Control characters are escaped."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    align = ["right" if index else "left" for index in range(len(rows[0]))]
    return tabulate(cells, list(map(printable, headers)), colalign=align, disable_numparse=True)


def percent(share: float) -> str:
    """Returns a share, such as an accuracy in [0, 1], in percent: "98.72%"."""
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


def show_network(rows: Sequence[Any]) -> None:
    """Prints the table of a network's layers; `rows` are `networks.Row`s."""
    lines = [[row.layer, " x ".join(map(str, row.output_shape)), f"{row.parameters:,}"] for row in rows]
    lines.append(["total", "", f"{sum(row.parameters for row in rows):,}"])
    say(table(lines, ["layer", "output shape", "parameters"]) + "\n")
