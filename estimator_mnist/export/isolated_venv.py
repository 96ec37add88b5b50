"""Further environments, for packages that cannot live beside TensorFlow 2.15; each is made on first use."""

import fcntl
import subprocess
import venv
from pathlib import Path
from typing import Callable

from estimator_mnist.system.errors import RunError


def python_of(requirements: Path, folder: Path, say: Callable[[str], None]) -> str:
    """Returns the path of the Python of an environment, which is made first if it is not there as it should be.

    Args:
        requirements: What pip installs there.
        folder: Where the environment is, or is made.
        say: Called with a line when something is to be made, which can take minutes.

    Raises:
        RunError: It cannot be made.
    """
    python, mark = folder / "bin" / "python", folder / "installed.txt"
    try:
        # As in run.sh, the lock is gone with the processes that hold the file open, pip among them.
        with open(folder.with_name(f"{folder.name}.making"), "w") as making:
            fcntl.flock(making, fcntl.LOCK_EX)
            if not mark.exists() or mark.read_text() != requirements.read_text():
                say(f"Making {folder} from {requirements.name} (once; some minutes)")
                venv.create(folder, with_pip=True, clear=True)
                install(python, requirements, making.fileno())
                mark.write_text(requirements.read_text())
    except (OSError, subprocess.CalledProcessError) as error:
        raise RunError(f"{folder}: this environment cannot be made ({error})") from error
    return str(python)


def install(python: Path, requirements: Path, lock: int) -> None:
    """Installs requirements with pip; raises RunError where they cannot be had."""
    words = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*words, "-r", str(requirements)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, pass_fds=[lock]
    )
    if done.returncode:
        errors = [line for line in done.stdout.splitlines() if line.startswith("ERROR: ")] or done.stdout.splitlines()
        why = errors[-1] if errors else f"pip ended with {done.returncode}"
        raise RunError(f"{requirements.name}: could not be installed ({why}); it needs the network once")
