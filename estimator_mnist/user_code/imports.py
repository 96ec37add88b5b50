"""What the code of a user may import: a run keeps one file, not those beside it."""

import ast
import importlib.util
import os
import sys
import sysconfig
from pathlib import Path
from typing import Iterator, List, Optional, Tuple

import input_fns
from estimator_mnist import system
from estimator_mnist.user_code.calls import UserCodeError


def check(content: bytes, file: str) -> None:
    """Checks that a user's file imports nothing that only this process finds, such as a file beside it.

    Args:
        content: Of the file.
        file: Its name, for messages.

    Raises:
        SyntaxError, ValueError: The content is no Python.
        UserCodeError: It imports another file of the user's.
    """
    for line, name in _imported(ast.parse(content, file)):
        path = _path_of(name)
        folder = path and (path.parents[1] if path.name == "__init__.py" else path.parent)
        if path and not is_installed(path) and folder in _places_of_this_process():
            raise UserCodeError(
                f"{file}:{line}: imports {name} from {path}, which the run would not keep; "
                "put all code into one file, or install that one as a package"
            )


def is_installed(file: Path) -> bool:
    """Tells whether a module belongs to Python, to this project or to an installed package."""
    path, places = file.resolve(), sysconfig.get_paths()
    standard = [Path(places[name]).resolve() for name in ("stdlib", "platstdlib")]
    own = [Path(str(input_fns.__file__)).resolve().parent, Path(str(system.__file__)).resolve().parents[1]]
    named = {"site-packages", "dist-packages"} & set(path.parts)  # of any environment on the import path
    return bool(named) or any(root in path.parents for root in [*standard, *own])


def _imported(tree: ast.AST) -> Iterator[Tuple[int, str]]:
    """Yields the line and the first part of the name of each imported module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module.partition(".")[0]


def _path_of(name: str) -> Optional[Path]:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # the import itself will say what is wrong
        return None
    return Path(spec.origin).resolve() if spec and spec.origin and os.path.isabs(spec.origin) else None


def _places_of_this_process() -> List[Path]:
    """Returns the folders that Python searches only because of how this process was started."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    return [Path.cwd(), *([Path(main).resolve().parent] if main else [])]
