"""Image files to answers: which class each shows, as a table or as JSON, printed as they come."""

import io
import itertools
import json
import signal
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence

import numpy as np

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.predict.contact_sheet import Answer, ContactSheets
from estimator_mnist.predict.pictures import reader
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.signals import Stopped
from estimator_mnist.system.terminal import percent, printable

# The column of file names is as wide as the longest of the first chunk, within these.
NAME_WIDTHS = (4, 60)

Classifier = Callable[[np.ndarray], np.ndarray]  # uint8 [n, 28, 28] to probabilities, float32 [n, classes]


def run(
    words: Sequence[str],
    preprocess: str,
    experiment: Experiment,
    load: Callable[[], Classifier],
    as_json: bool,
    sheet: Optional[str],
) -> None:
    """Classifies files and prints the answers.

    Args:
        words: Files, folders, "-"; see `picture_files.read`.
        preprocess: See `pictures.prepare`; "auto" takes what suits the data set.
        experiment: That of the network.
        load: Loads the network; called when there is something to classify.
        as_json: Print JSON in place of a table.
        sheet: Where to write contact sheets, None for none.

    Raises:
        InputError: No contact sheet can be written there.
        RunError: A file has no answer, or the run failed.
        Stopped: SIGTERM came.
    """
    if preprocess == "auto":
        preprocess = "mnist" if experiment.dataset.split(":")[0] == "mnist" else "fit"
    sheets = ContactSheets(Path(sheet).expanduser(), experiment.class_names) if sheet else None
    signal.signal(signal.SIGTERM, _stop)  # by an exception, which ends the processes that read
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # its encoding may lack what names are written in
    show = print_json if as_json else print_table
    files = errors = 0
    try:
        for chunk in show(answers(words, preprocess, load), experiment.class_names):
            files, errors = files + len(chunk), errors + sum(answer.error is not None for answer in chunk)
            if sheets:
                sheets.add(chunk)
    except BrokenProcessPool as error:
        raise RunError(f"a process that reads images was killed after {files:,} files; out of memory?") from error
    if sheets:
        sheets.close()
    if errors:
        raise RunError(f"{errors:,} of {files:,} files have no answer: their lines say why")


def _stop(signum: int, frame: object) -> None:
    raise Stopped(signum)


def answers(words: Sequence[str], preprocess: str, load: Callable[[], Classifier]) -> Iterator[List[Answer]]:
    """Yields the answers in chunks, in the order of the files; see `picture_files.read`.

    Args:
        words: Files, folders, "-".
        preprocess: See `pictures.prepare`.
        load: Loads the classifier, when the first image is there to be classified.
    """
    classify: Optional[Classifier] = None
    for chunk in reader.read(words, preprocess):
        images = [picture.image for picture in chunk if picture.image is not None]
        found: Iterator[np.ndarray] = iter(())
        if images:
            classify = classify or load()
            found = iter(classify(np.stack(images)))
        yield [Answer(file, image, None if image is None else next(found), error) for file, image, error in chunk]


def print_json(chunks: Iterable[List[Answer]], class_names: Sequence[str]) -> Iterator[List[Answer]]:
    """Prints one JSON list, an object a file, and yields each chunk that is printed."""
    separator = "["
    for chunk in chunks:
        for answer in chunk:
            # In ASCII: a file name need not be text, and its stray bytes are escaped as Python reads them back.
            sys.stdout.write(f"{separator}\n{json.dumps(_json_object(answer, class_names))}")
            separator = ","
        sys.stdout.flush()
        yield chunk
    sys.stdout.write("\n]\n" if separator == "," else "[]\n")
    sys.stdout.flush()


def _json_object(answer: Answer, class_names: Sequence[str]) -> Dict[str, Any]:
    best = answer.ranking()[:1]
    probabilities = None if answer.probabilities is None else answer.probabilities.tolist()
    return {
        "file": answer.file,
        "class": best[0] if best else None,
        "label": class_names[best[0]] if best else None,
        "probability": probabilities[best[0]] if probabilities else None,
        "probabilities": probabilities,
        "error": answer.error,
    }


def print_table(chunks: Iterable[List[Answer]], class_names: Sequence[str]) -> Iterator[List[Answer]]:
    """Prints a table, a row a file, and yields each chunk that is printed."""
    chunks, class_names = iter(chunks), [printable(name) for name in class_names]
    first = next(chunks, [])
    longest = max((len(answer.name) for answer in first), default=0)
    widths = [min(max(longest, NAME_WIDTHS[0]), NAME_WIDTHS[1]), max(5, *map(len, class_names)), 11]
    # The runner-up needs no padding, for it comes last.
    print(_row(["file", "class", "probability", "runner-up"], widths))
    print(_row(["-" * width for width in [*widths, widths[1] + 8]], widths))
    for chunk in itertools.chain([first], chunks):
        for answer in chunk:
            print(_row(_cells(answer, class_names), widths))
        sys.stdout.flush()
        yield chunk


def _cells(answer: Answer, class_names: Sequence[str]) -> List[str]:
    if answer.probabilities is None:
        return [answer.name, f"error: {answer.error}"]
    best, *others = ((class_names[index], percent(answer.probabilities[index])) for index in answer.ranking())
    runner_up = [f"{others[0][0]} ({others[0][1]})"] if others else []
    return [answer.name, *best, *runner_up]


def _row(cells: List[str], widths: List[int]) -> str:
    if len(cells) == 2:  # an error takes all columns after the name
        return f"{cells[0]:<{widths[0]}}  {cells[1]}"
    name, label, probability, *rest = cells
    return "  ".join([f"{name:<{widths[0]}}", f"{label:<{widths[1]}}", f"{probability:>{widths[2]}}", *rest])
