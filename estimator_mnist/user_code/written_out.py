"""Writes a function of a notebook as a file: its source with the imports, constants and helpers that it uses.

A run keeps the file, so it can be resumed, evaluated and exported where the notebook is not.
"""

import builtins
import inspect
import math
import sys
import types
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from estimator_mnist.user_code import function_source, imports
from input_fns import InputError

MAX_ARRAY_ELEMENTS = 10_000
LAYERS = "estimator_mnist.layers"  # offers activations of TensorFlow, too
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis))


def content_of(function: Callable[..., Any], flag: str) -> bytes:
    """Returns a Python file with a function, or class, and everything of its module that it uses.

    Equal functions with equal globals give equal files, in every process.

    Args:
        function: Defined at the top level of a notebook's cells, of `__main__` or of a module.
        flag: The setting that it is given for, for messages.

    Raises:
        InputError: It is a lambda, it uses variables of another function, its source is not known, or something that it
            uses cannot be written as source. The text names that.
    """
    name = getattr(function, "__name__", "")
    if not isinstance(function, type) and not isinstance(inspect.unwrap(function), types.FunctionType):
        raise InputError(f"{flag}: is of type {type(function).__qualname__}; give a function or a class")
    if name == "<lambda>":
        raise InputError(f"{flag}: is a lambda; give a function that is written with def")
    writer = _Writer(f"{flag} {name}")
    writer.define(name, function)
    header = f'"""{name}, written out by estimator_mnist."""'
    return "\n\n".join(["\n".join([header, *writer.futures]), *writer.parts()]).encode() + b"\n"


class _Writer:
    """Collects statements in an order in which each finds what it needs."""

    def __init__(self, subject: str):
        self._subject = subject
        self._imports: List[str] = []
        self._definitions: List[str] = []
        self._names: Dict[str, Any] = {}  # written or being written
        self.futures: List[str] = []

    def parts(self) -> List[str]:
        imports = ["\n".join(sorted({*self._imports}))] if self._imports else []
        return [*imports, *self._definitions]

    def define(self, name: str, value: Any) -> None:
        """Writes a function or class, after what it uses. `name`: what the global is called."""
        if value.__name__ == "<lambda>":
            raise self._problem(name, "is a lambda; write it with def")
        self._names[name] = self._names[value.__name__] = value
        source, line = function_source.of(value, self._problem)
        if function_source.has_future_annotations(value) and not self.futures:
            self.futures.append("from __future__ import annotations")
        namespace = function_source.namespace(value)
        for used in function_source.globals_of(source):
            if used.startswith("__") and used.endswith("__"):
                continue  # of every module
            if used not in namespace:
                if not hasattr(builtins, used):
                    raise self._problem(used, f"is not defined (line {line} of its cell or file, or later)")
            elif used not in self._names:
                self._write(used, namespace[used])
            elif self._names[used] is not namespace[used]:
                raise self._problem(used, "means different things in the modules that it uses")
        for dotted in function_source.dotted_names_of(source):
            root = namespace.get(dotted.partition(".")[0])
            # `import xml.dom` binds xml. A module's own name tells that from `import numpy as np`.
            if (
                dotted in sys.modules
                and isinstance(root, types.ModuleType)
                and root.__name__ == dotted.partition(".")[0]
            ):
                self._imports.append(f"import {dotted}")
        statements = [source]
        if value.__name__ != name:
            statements.append(f"{name} = {value.__name__}")
        statements += [f"{name}.{key} = {text}" for key, text in self._attributes(value, name)]
        self._definitions.append("\n".join(statements))

    def _attributes(self, value: Any, name: str) -> Iterator[Tuple[str, str]]:
        """Yields what was set on a function after its definition, such as `lower_is_better`."""
        if isinstance(value, types.FunctionType) and not hasattr(value, "__wrapped__"):
            for key, item in value.__dict__.items():
                yield key, self._expression(item, f"{name}.{key}")

    def _write(self, name: str, value: Any) -> None:
        if isinstance(value, types.ModuleType):
            self._names[name] = value
            self._import_module(name, value)
        elif _is_users_own(value):
            self.define(name, value)
        else:
            self._names[name] = value
            statement = self._from_import(name, value)
            if statement:
                self._imports.append(statement)
            else:
                self._definitions.append(f"{name} = {self._expression(value, name)}")

    def _import_module(self, name: str, module: types.ModuleType) -> None:
        path = module.__spec__.name if module.__spec__ else module.__name__  # of tensorflow.keras: keras's own
        self._check_installed(name, getattr(module, "__file__", None))
        if "." not in path:
            self._imports.append(f"import {path}" + ("" if name == path else f" as {name}"))
        else:
            self._imports.append(f"import {path} as {name}")

    def _from_import(self, name: str, value: Any) -> Optional[str]:
        """Returns the statement that imports a value from the module that defines it, None if that has no such name."""
        module_name = getattr(value, "__module__", None)
        if not isinstance(module_name, str) or module_name in ("__main__", "builtins"):
            return None
        parts = module_name.split(".")
        # The shortest name: where a package offers a name, its modules may move.
        places = [".".join(parts[: count + 1]) for count in range(len(parts))]
        for module in filter(None, map(sys.modules.get, [LAYERS, *places])):
            for attribute in (getattr(value, "__name__", None), getattr(value, "_name", None), name):
                if isinstance(attribute, str) and vars(module).get(attribute) is value:
                    self._check_installed(name, getattr(module, "__file__", None))
                    alias = "" if attribute == name else f" as {name}"
                    return f"from {module.__name__} import {attribute}{alias}"
        return None

    def _check_installed(self, name: str, file: Optional[str]) -> None:
        if file is not None and not imports.is_installed(Path(file)):
            raise self._problem(
                name,
                f"comes from {file}, which the run would not keep; define it in the notebook, or install that file",
            )

    def _expression(self, value: Any, name: str) -> str:
        """Returns an expression for a constant."""
        if type(value) is float and not math.isfinite(value):
            return f"float({str(value)!r})"
        if type(value) in _PLAIN:
            return repr(value)
        if type(value) in (list, tuple):
            items = [self._expression(item, name) for item in value]
            inner = ", ".join(items)
            return f"[{inner}]" if type(value) is list else f"({inner},)" if len(items) == 1 else f"({inner})"
        if type(value) in (set, frozenset):
            items = sorted(self._expression(item, name) for item in value)  # sets have another order in each process
            return f"{type(value).__name__}([{', '.join(items)}])"
        if type(value) is dict:
            pairs = [f"{self._expression(key, name)}: {self._expression(item, name)}" for key, item in value.items()]
            return f"{{{', '.join(pairs)}}}"
        numpy = sys.modules.get("numpy")
        if numpy and isinstance(value, (numpy.ndarray, numpy.generic)) and value.dtype.kind in "biufcUS":
            return self._array(value, name)
        raise self._problem(name, f"is a {type(value).__module__}.{type(value).__qualname__}, not a constant")

    def _array(self, value: Any, name: str) -> str:
        if value.size > MAX_ARRAY_ELEMENTS:
            raise self._problem(name, f"is an array of {value.size:,} numbers; {MAX_ARRAY_ELEMENTS:,} can be written")
        numbers = self._expression(value.tolist(), name)
        array = f'__import__("numpy").array({numbers}, {value.dtype.str!r}).reshape({value.shape})'
        return array if value.ndim else f"{array}[()]"

    def _problem(self, name: str, problem: str) -> InputError:
        return InputError(f"{self._subject}: {name} {problem}; or put the function into a .py file")


def _is_users_own(value: Any) -> bool:
    """Tells whether a value is a function or class of a notebook, a script or a module that is not installed."""
    if not isinstance(value, type) and not (callable(value) and isinstance(inspect.unwrap(value), types.FunctionType)):
        return False
    module = sys.modules.get(value.__module__)
    file = getattr(module, "__file__", None)
    return value.__module__ == "__main__" or (file is not None and not imports.is_installed(Path(file)))
