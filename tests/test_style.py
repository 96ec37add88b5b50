"""Lint, format, types and the direction of imports are part of the tests."""

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT


@pytest.mark.parametrize("words", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join)
def test_code_is_clean(words):
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_input_fns_never_imports_estimator_mnist():
    for path in (ROOT / "input_fns").glob("*.py"):
        assert not re.search(r"^\s*(from|import) estimator_mnist", path.read_text(), re.MULTILINE), path


def imported(path: Path) -> "set[str]":
    """Returns the modules of the project that a module imports, at its top or within functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def test_imports_run_in_no_circle():
    paths = [*(ROOT / "input_fns").rglob("*.py"), *(ROOT / "estimator_mnist").rglob("*.py")]
    # Without __init__, which is loaded before any module of its folder whatever that imports.
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths if path.stem != "__init__"}
    users = {name: imported(path) & names.keys() for name, path in names.items()}
    assert sum(map(len, users.values())) > 100
    assert list(graphlib.TopologicalSorter(users).static_order())  # raises where there is a circle


def test_modules_fit_one_sitting():
    for path in [*(ROOT / "input_fns").glob("*.py"), *(ROOT / "estimator_mnist").rglob("*.py"), ROOT / "run.sh"]:
        assert len(path.read_text().splitlines()) <= 260, path
