"""FILE.py:FUNCTION, the name of a function in a user's file."""

import re
from typing import NamedTuple

# One reference: a list of them, as sweeps take it, is none.
_REFERENCE = re.compile(r"(?P<path>(?:(?!\.py:).)*\.py):(?P<function>[^\W\d]\w*)")


class Reference(NamedTuple):
    """A function of a file."""

    path: str  # as the user wrote it: "nets/mine.py"
    function: str

    @property
    def file(self) -> str:
        """The name of the file without its folders: "mine.py"."""
        return re.split(r"[/\\]", self.path)[-1]

    @property
    def name(self) -> str:
        """The reference as an Experiment holds it, without folders: "mine.py:resnet"."""
        return f"{self.file}:{self.function}"

    @property
    def slug(self) -> str:
        """The reference as a part of a file's name: "mine-resnet"."""
        return f"{self.file[: -len('.py')]}-{self.function}"


def is_reference(text: str) -> bool:
    """Tells whether a text has the form FILE.py:FUNCTION."""
    return _REFERENCE.fullmatch(text) is not None


def parse(text: str) -> Reference:
    """Returns the parts of FILE.py:FUNCTION.

    Raises:
        ValueError: The text has another form.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not FILE.py:FUNCTION")
    return Reference(match["path"], match["function"])
