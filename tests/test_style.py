"""Lint, format, types and the direction of imports are part of the tests."""

import re
import subprocess
import sys

import pytest
from conftest import ROOT


@pytest.mark.parametrize("words", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join)
def test_code_is_clean(words):
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_input_fns_never_imports_estimator_mnist():
    for path in (ROOT / "input_fns").glob("*.py"):
        assert not re.search(r"^\s*(from|import) estimator_mnist", path.read_text(), re.MULTILINE), path


def test_modules_fit_one_sitting():
    for path in [*(ROOT / "input_fns").glob("*.py"), *(ROOT / "estimator_mnist").glob("*.py"), ROOT / "run.sh"]:
        assert len(path.read_text().splitlines()) <= 260, path
