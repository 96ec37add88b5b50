"""Settings as Python has them, such as functions and NumPy's numbers, converted to what an Experiment takes."""

import os
import sys
import typing
from typing import Any, Callable, Dict, Mapping, NamedTuple

from estimator_mnist import user_code
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import DATA, FIELDS, USER_FUNCTIONS
from estimator_mnist.system import json_records
from estimator_mnist.user_code import written_out
from input_fns import InputError


class Converted(NamedTuple):
    """Settings of an experiment, and the files that were written for functions of no file."""

    values: Dict[str, Any]  # fields of Experiment
    registered: Dict[str, str]  # SHA-256 by file name


def converted(given: Mapping[str, Any]) -> Converted:
    """Returns settings with each function as "FILE.py:FUNCTION" and each value of its field's type.

    A function of a Python file is that file's. One of a notebook or of the script that runs is written out.

    Args:
        given: Fields of Experiment.

    Raises:
        InputError: There is no such setting, a value has another type, or a function cannot be written out.
    """
    types = typing.get_type_hints(Experiment)
    values: Dict[str, Any] = {}
    registered: Dict[str, str] = {}
    for name, value in given.items():
        if name not in FIELDS:
            raise InputError(f"{name}: there is no such setting; see estimator_mnist.Experiment for all of them")
        if name in DATA:
            raise InputError(f"{name}: describes the data, which decides it; choose the data with estimator_mnist.data")
        if name in USER_FUNCTIONS and callable(value):
            values[name] = _reference(name, value, registered)
        else:
            values[name] = _plain(name, value, types[name])
    return Converted(values, registered)


def _reference(setting: str, function: Callable[..., Any], registered: Dict[str, str]) -> str:
    """Returns FILE.py:FUNCTION. Registers a file for a function that has none."""
    module = sys.modules.get(getattr(function, "__module__", None) or "")
    path, name = getattr(module, "__file__", None), getattr(function, "__name__", "")
    is_of_file = module is not None and module.__name__ != "__main__" and getattr(module, name, None) is function
    if is_of_file and path and path.endswith(".py"):
        return f"{os.path.abspath(path)}:{name}"
    digest = user_code.register(written_out.content_of(function, setting))
    file = f"{name}.py"
    if registered.setdefault(file, digest) != digest:
        raise InputError(f"{setting} {name}: another setting's function has this name, too; rename one of them")
    return f"{file}:{name}"


def _plain(name: str, value: Any, kind: Any) -> Any:
    """Returns a value of JSON for a field: NumPy's numbers as Python's, paths as text."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    if not isinstance(value, (bool, int, float, str, list, tuple, dict, type(None))):
        functions = " or a function" if name in USER_FUNCTIONS else ""
        raise InputError(f"{name}: is of type {type(value).__name__}; it must be a number, a text{functions}")
    try:
        return json_records.typed(value, kind, name)
    except json_records.RecordError as error:
        raise InputError(str(error)) from error
