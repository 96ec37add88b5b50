"""The command predict: which class each image file shows, as a table or as JSON, printed as the answers come."""

import io
import itertools
import json
import signal
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.predict.answer import Answer, Classifier, classify_files
from estimator_mnist.predict.contact_sheet import ContactSheets
from estimator_mnist.predict.pictures.decode import Preparation
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.signals import Stopped
from estimator_mnist.system.terminal import percent, printable

# The column of file names is as wide as the longest name of the first chunk, within these limits.
NAME_WIDTHS = (4, 60)
PROBABILITY_WIDTH = 11


class Options(NamedTuple):
    """What the user asks of predict."""

    words: Sequence[str]  # files, folders, "-"; see `reader.read`
    preprocess: str = "auto"  # one of `input_fns.PREPROCESSES`; "auto" takes what suits the data set
    as_json: bool = False  # print JSON in place of a table
    contact_sheet: Optional[str] = None  # path of a PNG; None writes none


def run(options: Options, experiment: Experiment, load: Callable[[], Classifier]) -> None:
    """Classifies files and prints the answers.

    Args:
        options: What to classify, and what to write.
        experiment: The network's.
        load: Loads the network. Called once there is something to classify.

    Raises:
        InputError: The contact sheet cannot be written there.
        RunError: A file has no answer, or a process was killed.
        Stopped: SIGTERM came.
    """
    sheets = None
    if options.contact_sheet:
        path = Path(options.contact_sheet).expanduser()
        sheets = ContactSheets(path, experiment.class_names, experiment.image_shape[:2])
    signal.signal(signal.SIGTERM, _raise_stopped)  # an exception ends the reading processes, too
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # its encoding may lack characters of the file names
    answers = classify_files(options.words, _preparation(options.preprocess, experiment), load)
    show = print_json if options.as_json else print_table
    files = errors = 0
    try:
        for chunk in show(answers, experiment.class_names):
            files, errors = files + len(chunk), errors + sum(answer.error is not None for answer in chunk)
            if sheets:
                sheets.add(chunk)
    except BrokenProcessPool as error:
        raise RunError(f"a process that reads images was killed after {files:,} files; out of memory?") from error
    if sheets:
        sheets.close()
    if errors:
        raise RunError(f"{errors:,} of {files:,} files have no answer: their lines say why")


def _preparation(preprocess: str, experiment: Experiment) -> Preparation:
    if preprocess == "auto":
        preprocess = "mnist" if experiment.dataset.split(":")[0] == "mnist" else "fit"
    height, width, _ = experiment.image_shape
    return Preparation(preprocess, (height, width))


def _raise_stopped(signum: int, frame: object) -> None:
    raise Stopped(signum)


def print_json(chunks: Iterable[List[Answer]], class_names: Sequence[str]) -> Iterator[List[Answer]]:
    """Prints one JSON list, an object per file, and yields each chunk once it is printed."""
    separator = "["
    for chunk in chunks:
        for answer in chunk:
            # ASCII: a file name need not be valid text, and json.loads returns its stray bytes as Python had them.
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
    """Prints a table, a row per file, and yields each chunk once it is printed."""
    labels = list(map(printable, class_names))
    chunks = iter(chunks)
    first = next(chunks, [])
    longest_name = max((len(answer.printable_file) for answer in first), default=0)
    label_width = max(5, *map(len, labels))
    widths = [min(max(longest_name, NAME_WIDTHS[0]), NAME_WIDTHS[1]), label_width, PROBABILITY_WIDTH]
    print(_row(["file", "class", "probability", "runner-up"], widths))
    print(_row(["-" * width for width in [*widths, label_width + 8]], widths))
    for chunk in itertools.chain([first], chunks):
        for answer in chunk:
            print(_row(_cells(answer, labels), widths))
        sys.stdout.flush()
        yield chunk


def _cells(answer: Answer, labels: Sequence[str]) -> List[str]:
    if answer.probabilities is None:
        return [answer.printable_file, f"error: {answer.error}"]
    best, *others = ((labels[index], percent(answer.probabilities[index])) for index in answer.ranking())
    runner_up = [f"{others[0][0]} ({others[0][1]})"] if others else []
    return [answer.printable_file, *best, *runner_up]


def _row(cells: List[str], widths: List[int]) -> str:
    if len(cells) == 2:  # an error takes all columns after the name
        return f"{cells[0]:<{widths[0]}}  {cells[1]}"
    name, label, probability, *rest = cells  # the runner-up comes last and needs no padding
    return "  ".join([f"{name:<{widths[0]}}", f"{label:<{widths[1]}}", f"{probability:>{widths[2]}}", *rest])
