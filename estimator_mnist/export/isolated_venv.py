"""Separate virtual environments for packages that conflict with TensorFlow 2.15, each made on first use."""

import fcntl
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Callable

from estimator_mnist.system.errors import RunError
from estimator_mnist.system.interpreter import is_checkout

MARKER = ".made-by-estimator-mnist"  # the first file in an environment, as in run.sh's .venv
INSTALLED = "installed.txt"  # the last file: the requirements that a complete environment has


def place(name: str, in_checkout: Path) -> Path:
    """Returns the folder of an environment.

    Args:
        name: Of the environment.
        in_checkout: Its parent folder in a checkout. An installed package keeps its environments in the user's cache,
            $XDG_CACHE_HOME or ~/.cache, one for each version of Python.
    """
    if is_checkout():
        return in_checkout / f".venv-{name}"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache, "estimator_mnist", f"venv-{name}-{sys.version_info[0]}.{sys.version_info[1]}")


def python_of(requirements: Path, folder: Path, say: Callable[[str], None]) -> str:
    """Returns the path of an environment's Python. The environment is made first unless it is complete.

    Args:
        requirements: The file that pip installs from.
        folder: The environment.
        say: Called with one line before the environment is made, which can take minutes.

    Raises:
        RunError: The environment cannot be made, or the folder holds something that this project has not made.
    """
    python = folder / "bin" / "python"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        # As in run.sh, the lock is released when all processes that hold the file open have ended, pip among them.
        with open(folder.with_name(f"{folder.name}.making"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_complete(folder, requirements):
                _delete(folder)
                say(f"Making {folder} from {requirements.name} (once; takes some minutes)")
                folder.mkdir()
                (folder / MARKER).touch()
                venv.create(folder, with_pip=True)
                install(python, requirements, lock.fileno())
                (folder / INSTALLED).write_text(requirements.read_text())
    except (OSError, subprocess.CalledProcessError) as error:
        raise RunError(f"{folder}: this environment cannot be made ({error})") from error
    return str(python)


def _is_complete(folder: Path, requirements: Path) -> bool:
    installed = folder / INSTALLED
    return installed.is_file() and installed.read_text() == requirements.read_text()


def _delete(folder: Path) -> None:
    """Deletes an incomplete or outdated environment.

    Raises:
        RunError: The folder is not empty, and nothing in it says that this project made it.
    """
    if not folder.exists():
        return
    # Environments of earlier versions have no marker. A complete one has the file INSTALLED.
    is_made_here = (folder / MARKER).exists() or (folder / INSTALLED).exists()
    if not is_made_here and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder}: was not made by this project; move or delete it, then run the same command again")
    shutil.rmtree(folder)


def install(python: Path, requirements: Path, lock: int) -> None:
    """Installs packages with pip.

    Args:
        python: Of the environment.
        requirements: The file that pip installs from.
        lock: A file descriptor that pip keeps open.

    Raises:
        RunError: A package cannot be installed.
    """
    words = [str(python), "-I", "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    pip = subprocess.run(
        [*words, "-r", str(requirements)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, pass_fds=[lock]
    )
    if pip.returncode:
        lines = pip.stdout.splitlines()
        errors = [line for line in lines if line.startswith("ERROR: ")] or lines
        why = errors[-1] if errors else f"pip's exit code is {pip.returncode}"
        raise RunError(f"{requirements.name}: could not be installed ({why}); the first use needs the network")
