"""Programs run and measured from outside: wall time and peak memory of a whole process, whatever it does."""

import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from estimator_mnist.system.interpreter import ROOT, module_command
from input_fns import InputError

TIMEOUT_SECONDS = 900
Main = Callable[..., int]


def as_command(main: Main) -> Main:
    """Returns a benchmark's main function that says what is wrong with its input in one line, as the commands do."""

    @functools.wraps(main)
    def told(argv: Optional[List[str]] = None) -> int:
        try:
            return main(argv)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return told


class Finished(NamedTuple):
    started: float  # time.time()
    seconds: float  # wall time from the start of the process to its end
    peak_bytes: int  # most memory resident at a time; at least what the measuring process held when it started it
    stdout: str


def run(words: List[str]) -> Finished:
    """Runs a program to its end, in the project's root.

    Raises:
        SystemExit: It failed, or took longer than TIMEOUT_SECONDS; with the end of what it said.
    """
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started, began = time.time(), time.perf_counter()
        process = subprocess.Popen(words, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        timer = threading.Timer(TIMEOUT_SECONDS, process.kill)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()  # what it writes, its caller is about to delete
            raise
        finally:
            timer.cancel()
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{' '.join(words)}: exit code {process.returncode}\n{err.read()[-2000:]}")
        unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, KiB on Linux
        return Finished(started, seconds, usage.ru_maxrss * unit, out.read())


def module(name: str, *words: object) -> List[str]:
    """Returns the words that run a module of this project in this environment."""
    return module_command(name, *words)


def say(text: str) -> None:
    """Tells of progress, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def spread(values: List[float], digits: int = 2) -> str:
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"


def pyplot() -> Any:
    """Returns matplotlib's pyplot, drawing to files."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def update_json(path: Path, found: Dict[str, Any]) -> Dict[str, Any]:
    """Puts the parts that were measured beside those of earlier calls, and returns all of them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    everything = {**(json.loads(path.read_text()) if path.exists() else {}), **found}
    path.write_text(json.dumps(everything, indent=1) + "\n")
    return everything
