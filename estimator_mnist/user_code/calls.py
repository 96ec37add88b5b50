"""Exceptions of a user's code as one line that names the file and the line."""

import contextlib
import re
import traceback
from typing import Iterator

from input_fns import InputError
from input_fns.errors import reason

PATH = re.compile(r"<[0-9a-f]{12}>/(.+)")  # as `functions` compiles a user's file
MOST_CHARACTERS = 300  # of an exception's text


class UserCodeError(InputError):
    """A user's file raised an exception, which is the __cause__: the text is one line, "FILE.py:LINE: Type: text"."""


@contextlib.contextmanager
def translated(file: str, path: str) -> Iterator[None]:
    """A context that re-raises what a user's code raises.

    Args:
        file: The name of the file, for messages.
        path: The file name that its code was compiled with.

    Raises:
        UserCodeError: The code raised an exception, or tried to end the process.
    """
    try:
        yield
    except UserCodeError:
        raise  # of another user file, which this one called
    except (Exception, SystemExit) as error:
        raise UserCodeError(_described(error, file, path)) from error


@contextlib.contextmanager
def with_place(prefix: str) -> Iterator[None]:
    """A context that re-raises what methods of a user's classes raise, wherever they are called.

    Args:
        prefix: Of the message; says what was called.

    Raises:
        UserCodeError: A line of a user's file raised an exception.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        paths = [
            frame.filename for frame in traceback.extract_tb(error.__traceback__) if PATH.fullmatch(frame.filename)
        ]
        if not paths:
            raise  # not of a user's
        file = PATH.fullmatch(paths[-1])[1]  # type: ignore[index]
        raise UserCodeError(prefix + _described(error, file, paths[-1])) from error


def _described(error: BaseException, file: str, path: str) -> str:
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{file}:{error.lineno}: SyntaxError: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    place = f"{file}:{lines[-1]}" if lines else file
    text = reason(error) if str(error).strip() else ""
    if isinstance(error, InputError):  # of this project: its text says what is wrong and what would be right
        return f"{place}: {text}"
    text = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."
    return f"{place}: {type(error).__name__}" + (f": {text}" if text else "")
