"""The environment that all tests run in, and the fixtures that they share."""

import functools
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Callable

import pytest

# What tests and the processes that they start see of the user's environment: where things are, how the network is
# reached, and what the machine needs to work. Nothing that changes what a program does or prints: TF_*, XLA_*, PYTHON*,
# COLUMNS, NO_COLOR, TERM, OMP_*, MPLBACKEND, ...
KEPT = {
    *("PATH HOME USER LOGNAME SHELL TMPDIR TEMP TMP TFDS_DATA_DIR CI".split()),
    *("HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY SSL_CERT_FILE SSL_CERT_DIR".split()),
    *("REQUESTS_CA_BUNDLE CURL_CA_BUNDLE".split()),
    # Machines where OpenBLAS takes the CPU for one that it is not need these to get through `import numpy`.
    *("OPENBLAS_CORETYPE OPENBLAS_L2_SIZE".split()),
}
KEPT_PREFIXES = ("XDG_", "UV_", "PIP_", "PYENV_", "LD_", "DYLD_", "PYTEST_", "PLAYWRIGHT_")
SET = {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"}


def clean_environment() -> None:
    """Reduces this process's environment to what is listed above, before any import reads it."""
    for name in list(os.environ):
        if name.upper() not in KEPT and not name.startswith(KEPT_PREFIXES):
            del os.environ[name]
    os.environ.update(SET)
    # A shell starts background jobs with SIGINT ignored, and nohup with SIGHUP ignored. Children would inherit that,
    # and never see the signals that tests send them.
    for signum, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(signum) == signal.SIG_IGN:
            signal.signal(signum, handler)


clean_environment()
pytest.register_assert_rewrite("support")

from support import RUN, command_line  # noqa: E402

import input_fns  # noqa: E402

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def sample() -> input_fns.Data:
    """The 5,000 real digits that need no download."""
    return input_fns.find(input_fns.Request("mnist", "sample"))


@pytest.fixture(scope="session")
def mnist() -> input_fns.Data:
    """All of MNIST, prepared by TFDS."""
    return _prepared("mnist")


@pytest.fixture(scope="session")
def fashion_mnist() -> input_fns.Data:
    return _prepared("fashion_mnist")


def _prepared(dataset: str) -> input_fns.Data:
    try:
        return input_fns.find(input_fns.Request(dataset, "tfds"))
    except input_fns.InputError as error:
        pytest.skip(f"needs {dataset} prepared by TFDS: {error}")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a network: every request goes to a port where nobody listens."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli(tmp_path: Path) -> Run:
    """Runs the command line in the test's folder, as run.sh does, and returns the finished process."""
    return functools.partial(command_line, tmp_path)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model_dir of a finished run with the flags RUN, shared by many tests, none of which changes it."""
    folder = tmp_path_factory.mktemp("shared") / "run"
    done = command_line(folder.parent, *RUN, "--model_dir", str(folder))
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return folder


@pytest.fixture
def half(run: Path, tmp_path: Path) -> Path:
    """A copy of the fixture `run` as a kill leaves it after step 300 of 400."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    (folder / "results.json").unlink()
    for path in folder.glob("model.ckpt-400*"):
        path.unlink()
    return folder
