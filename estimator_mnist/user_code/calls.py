"""Exceptions of a user's code as one line that names the file and the line."""

import contextlib
import traceback
from typing import Iterator

from input_fns import InputError
from input_fns.errors import reason

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


def _described(error: BaseException, file: str, path: str) -> str:
    if isinstance(error, SyntaxError) and error.filename == path:
        return f"{file}:{error.lineno}: SyntaxError: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    place = f"{file}:{lines[-1]}" if lines else file
    text = reason(error) if str(error).strip() else ""
    if isinstance(error, InputError):  # of this project, which says all that there is to say
        return f"{place}: {text}"
    text = text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}..."
    return f"{place}: {type(error).__name__}" + (f": {text}" if text else "")
