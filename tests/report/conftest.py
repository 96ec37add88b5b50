"""A finished run whose folder's name is hostile to a page."""

import shutil
from pathlib import Path
from typing import List

import pytest
from support import end, start

NAME = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="session")
def finished_flags() -> List[str]:
    """The flags of the fixture `finished`."""
    return ["--source", "sample", "--model", "dense", "--train_epochs", "2", "--evals", "4", "--dropout_rate", "0.3"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, finished_flags: List[str]) -> Path:
    """The model_dir of a finished run, which no test changes. Its name would be an element of a careless page."""
    folder = tmp_path_factory.mktemp("finished") / NAME
    code, out, err = end(start(folder, *finished_flags))
    assert code == 0 and err == "", err
    assert f"Report: {folder / 'report.html'}" in out.splitlines()
    return folder


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the fixture `finished`, for tests that change it."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
