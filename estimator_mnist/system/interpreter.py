"""Command lines that run this project's modules in processes of their own."""

import sys
from pathlib import Path
from typing import List

ROOT = Path(__file__).resolve().parents[2]  # the folder that holds both packages
RUN_MODULE = Path(__file__).resolve().with_name("run_module.py")


def is_checkout() -> bool:
    """Tells whether this is a checkout of the project, with its tests and run.sh, and not an installed package."""
    return (ROOT / "run.sh").is_file()


def module_command(module: str, *words: object, python: str = sys.executable) -> List[str]:
    """Returns the command that runs a module in an isolated interpreter; see `run_module`.

    Args:
        module: Its dotted name, "estimator_mnist" or one that is installed.
        words: Its arguments.
        python: The interpreter, this one by default.
    """
    return [python, "-I", str(RUN_MODULE), module, *map(str, words)]
