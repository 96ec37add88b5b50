"""Printing to the terminal: lines, tables, percentages. No control character of foreign text gets through."""

import contextlib
import os
import sys
from typing import Any, Iterator, Optional, Sequence

from tabulate import tabulate
from tqdm import tqdm


def say(line: str) -> None:
    """Prints one or more lines, above the progress bar if one is shown. Control characters are escaped."""
    tqdm.write("\n".join(map(printable, line.split("\n"))), file=sys.stdout)
    sys.stdout.flush()


def printable(text: str) -> str:
    """Returns a text with all characters escaped that would not print as themselves, line breaks among them.

    Names of classes and files come from elsewhere: an escape sequence in them could repaint the terminal.
    """
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def shortened(text: str, length: int) -> str:
    """Returns a text of at most `length` characters: of a longer one the beginning, and "..."."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


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


def metric_value(value: Optional[float]) -> str:
    """Returns the value of a user's metric. None: it was not finite, and JSON has no such numbers."""
    return "not finite" if value is None else f"{value:.4f}"
