"""What the tests share: real data, and the command line as a user calls it."""

import functools
import os
import subprocess
from pathlib import Path
from typing import Callable

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import input_fns  # noqa: E402
from estimator_mnist.system.interpreter import module_command  # noqa: E402


@pytest.fixture(scope="session")
def sample() -> input_fns.Data:
    """The 5,000 real digits that are always there."""
    return input_fns.find("mnist", "sample")


@pytest.fixture(scope="session")
def mnist() -> input_fns.Data:
    """The whole MNIST, prepared by TFDS."""
    return _prepared("mnist")


@pytest.fixture(scope="session")
def fashion_mnist() -> input_fns.Data:
    return _prepared("fashion_mnist")


def _prepared(dataset: str) -> input_fns.Data:
    try:
        return input_fns.find(dataset, "tfds")
    except input_fns.InputError as error:
        pytest.skip(f"needs {dataset} prepared by TFDS: {error}")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No way to any host, as on a machine without a network: all that asks goes to a port where nobody listens."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cli(tmp_path: Path) -> Run:
    """Runs the command line in a folder of the test's own, as run.sh does, and returns the finished process."""
    return functools.partial(_command_line, tmp_path)


def _command_line(folder: Path, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        module_command("estimator_mnist", *words),
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def launch(folder: Path, *words: str, prepare: "Callable[[], None] | None" = None) -> "subprocess.Popen[str]":
    """Starts the command line in a folder; `prepare` is called in the process before it begins."""
    return subprocess.Popen(
        module_command("estimator_mnist", *words),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=prepare,
    )


RUN = ["--source", "sample", "--model", "dense", "--train_steps", "400", "--evals", "4", "--dropout_rate", "0.3"]


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """The model_dir of a finished run with the flags RUN, shared by many tests: they leave it as it is."""
    folder = tmp_path_factory.mktemp("shared") / "run"
    done = _command_line(folder.parent, *RUN, "--model_dir", str(folder))
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder
