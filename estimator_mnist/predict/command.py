"""The command predict: which class each image file shows, as a table or as JSON, printed as the answers come."""

import io
import json
import signal
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.predict.answer import Answer, Classifier, classify_files
from estimator_mnist.predict.answer_table import print_table
from estimator_mnist.predict.choose_preparation import chosen_preparation
from estimator_mnist.predict.contact_sheet import ContactSheets
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.signals import Stopped


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
        InputError: The contact sheet cannot be written there, or the preparation does not suit the network.
        RunError: A file has no answer, or a process was killed.
        Stopped: SIGTERM came.
    """
    preparation, sheets = chosen_preparation(options.preprocess, experiment), None
    if options.contact_sheet:
        path = Path(options.contact_sheet).expanduser()
        sheets = ContactSheets(path, experiment.class_names, experiment.image_shape[:2])
    signal.signal(signal.SIGTERM, _raise_stopped)  # an exception ends the reading processes, too
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # its encoding may lack characters of the file names
    answers = classify_files(options.words, preparation, load)
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


def _raise_stopped(signum: int, frame: object) -> None:
    raise Stopped(signum)


def print_json(chunks: Iterable[List[Answer]], class_names: Sequence[str]) -> Iterator[List[Answer]]:
    """Prints one JSON list, an object per file, and yields each chunk once it is printed."""
    separator = "["
    for chunk in chunks:
        for answer in chunk:
            sys.stdout.write(f"{separator}\n{_as_json(_json_object(answer, class_names))}")
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


def _as_json(values: Dict[str, Any]) -> str:
    """Returns JSON whose text can be read as it is, if standard output can show it. What is not printable is escaped.

    A file name need not be valid text: its stray bytes are escaped, and json.loads returns them as Python had them.
    """
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        return json.dumps(values)
    text = json.dumps(values, ensure_ascii=False)
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
