"""Programs of the tests, which run as a user's: in processes of their own, with the project on the import path."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Callable

import pytest
from support import PATIENCE, ROOT

Program = Callable[..., "subprocess.CompletedProcess[str]"]


def run_program(source: str, folder: Path, *words: object, **env: str) -> "subprocess.CompletedProcess[str]":
    """Runs a program from a file in a folder, to its end."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(source))
    return subprocess.run(
        [sys.executable, str(path), *map(str, words)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Runs a program in the test's folder and returns what it printed. It must end well."""

    def run(source: str, *words: object, **env: str) -> "subprocess.CompletedProcess[str]":
        done = run_program(source, tmp_path, *words, **env)
        assert done.returncode == 0, done.stderr
        return done

    return run
