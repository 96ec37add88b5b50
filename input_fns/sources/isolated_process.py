"""Command lines that run a module of this package as the program of an isolated interpreter."""

import sys
from pathlib import Path
from typing import List

FOLDER = Path(__file__).resolve().parents[2]  # holds the package
# -I leaves the current folder and the PYTHON* variables out of the import path, so a user's json.py is not imported.
PROGRAM = (
    "import importlib, sys; sys.path.insert(0, sys.argv[1]); importlib.import_module(sys.argv[2]).main(*sys.argv[3:])"
)


def command(module: str, *words: str) -> List[str]:
    """Returns the command that calls `main(*words)` of a module.

    Args:
        module: Its dotted name.
        words: The arguments of its `main`.
    """
    return [sys.executable, "-I", "-c", PROGRAM, str(FOLDER), module, *words]
