"""The names of the formats that `export` writes, and which of them it writes by default. Imports no TensorFlow."""

import importlib.util
from typing import List, Sequence

from input_fns import InputError

FORMATS = ("saved_model", "tflite", "tflite_int8", "onnx", "keras")
WITHOUT_DOWNLOADS = FORMATS[:-1]  # keras makes an environment for Keras 3 on first use


def default() -> List[str]:
    """Returns the formats that need no download and whose converter is installed: tf2onnx needs Python 3.10."""
    return [name for name in WITHOUT_DOWNLOADS if name != "onnx" or importlib.util.find_spec("tf2onnx")]


def checked(names: Sequence[str], flag: str) -> List[str]:
    """Returns formats that a user names, each once.

    Args:
        names: What the user gave.
        flag: The flag or argument that names them, for messages.

    Raises:
        InputError: There is no such format, or none is named.
    """
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        wrong = ", ".join(map(str, unknown)) or "nothing"
        raise InputError(f"{flag}: {wrong} is no format; name some of {', '.join(FORMATS)}")
    return list(dict.fromkeys(names))
