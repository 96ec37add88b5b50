"""Which Pythons and systems this project runs on. Imports nothing that is missing elsewhere."""

import os
import sys
from typing import Optional

OLDEST, NEWEST = (3, 9), (3, 11)


def wrong_python() -> Optional[str]:
    """Returns, in one line, what to do about a Python that TensorFlow 2.15 has no wheels for; None for the others."""
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return None
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        f"Python {version} is not possible: TensorFlow 2.15, the last with tf.estimator, runs on Python 3.9 to 3.11; "
        "install python3.11, or uv, which brings one, and use bash run.sh or python3.11 -m pip install"
    )


def wrong_system() -> Optional[str]:
    """Returns, in one line, what to do on Windows; None elsewhere."""
    if os.name != "nt":
        return None
    return (
        "Windows is not possible: the project needs file locks and signals of Linux or macOS; use it in WSL2 "
        "(wsl --install), or in the container of deploy/Dockerfile"
    )


def exit_unless_possible() -> None:
    """Ends the process with one line and exit code 2 where nothing here can run."""
    problem = wrong_python() or wrong_system()
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
