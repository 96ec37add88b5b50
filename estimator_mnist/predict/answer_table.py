"""Answers as a table for a terminal, printed as they come."""

import itertools
import sys
import unicodedata
from typing import Iterable, Iterator, List, Sequence

from estimator_mnist.predict.answer import Answer
from estimator_mnist.system.terminal import percent, printable

# The column of file names is as wide as the longest name of the first chunk, within these limits. Longer names push
# the rest of their rows to the right.
NAME_WIDTHS = (4, 60)
LABEL_WIDTHS = (5, 40)  # of the column of classes: longer labels lose their middle
PROBABILITY_WIDTH = 11


def print_table(chunks: Iterable[List[Answer]], class_names: Sequence[str]) -> Iterator[List[Answer]]:
    """Prints a table, a row per file, and yields each chunk once it is printed."""
    labels = [_shortened(printable(name), LABEL_WIDTHS[1]) for name in class_names]
    chunks = iter(chunks)
    first = next(chunks, [])
    longest_name = max((_width(answer.printable_file) for answer in first), default=0)
    label_width = max(LABEL_WIDTHS[0], *map(_width, labels))
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
        return f"{_padded(cells[0], widths[0])}  {cells[1]}"
    name, label, probability, *rest = cells  # the runner-up comes last and needs no padding
    return "  ".join([_padded(name, widths[0]), _padded(label, widths[1]), f"{probability:>{widths[2]}}", *rest])


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Returns the columns that a text takes in a terminal: two for characters of East Asia, none for accents."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _shortened(text: str, width: int) -> str:
    """Returns a text or, if it is too wide, its start and its end: long names may differ in either."""
    if _width(text) <= width:
        return text
    start, end = text, text
    while _width(start) > (width - 3 + 1) // 2:
        start = start[:-1]
    while _width(end) > (width - 3) // 2:
        end = end[1:]
    return f"{start}...{end}"
