"""Loads the functions of user files."""

import linecache
import sys
import types
from typing import Any, Callable, Dict, Mapping

from estimator_mnist.user_code import calls, files, imports, references
from input_fns import InputError

_modules: Dict[str, types.ModuleType] = {}  # by the SHA-256 of their content


class UserFunction:
    """A function, or class, of a user's file. Whatever a call raises becomes a UserCodeError."""

    def __init__(self, value: Callable[..., Any], reference: references.Reference, path: str):
        self.value = value  # itself, for its attributes
        self.name = reference.function
        self.__name__ = reference.name
        self._file, self._path = reference.file, path

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with self.checked():
            return self.value(*args, **kwargs)

    def checked(self) -> Any:
        """Returns a context for calls of what the function returned, such as a method of an object."""
        return calls.translated(self._file, self._path)

    def refuse(self, problem: str) -> calls.UserCodeError:
        """Returns the error that says what is wrong with what the function returned."""
        return calls.UserCodeError(f"{self._file}: {self.name} {problem}")


def function(reference: str, digests: Mapping[str, str], flag: str) -> UserFunction:
    """Returns a function of a user's file, whose code runs at the first call for its content.

    Args:
        reference: "FILE.py:FUNCTION".
        digests: SHA-256 by file name.
        flag: The flag that names it.

    Raises:
        UserCodeError: The file raises an exception.
        InputError: Its content is not known, or it has no such function.
    """
    parsed = references.parse(reference)
    module = _module(parsed.file, digests[parsed.file])
    value = getattr(module, parsed.function, None)
    if not callable(value):
        own = [name for name, item in vars(module).items() if getattr(item, "__module__", None) == module.__name__]
        there = f"it has {', '.join(own)}" if own else "it has none"
        raise InputError(f"{flag} {reference}: {parsed.file} has no function {parsed.function}; {there}")
    return UserFunction(value, parsed, str(module.__file__))


def _module(file: str, digest: str) -> types.ModuleType:
    """Returns the module of a user's file after running its code, once in a process."""
    if digest in _modules:
        return _modules[digest]
    content = files.content_of(file, digest)
    # Not the path of the file: it may have been edited since, and its lines would not be those of this code.
    path = f"<{digest[:12]}>/{file}"
    module = types.ModuleType(f"user_code_{digest[:12]}")
    module.__file__ = path
    with calls.translated(file, path):
        code = compile(content, path, "exec")
        imports.check(content, file)
        text = content.decode(errors="replace")
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)  # for tracebacks
        sys.modules[module.__name__] = module  # dataclasses look there
        try:
            exec(code, module.__dict__)
        except BaseException:
            del sys.modules[module.__name__]
            raise
    _modules[digest] = module
    return module
