"""What the benchmarks share: programs run and measured from outside, messages, plots and result files."""

import dataclasses
import functools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

from estimator_mnist.system.child_processes import ChildProcesses, Program, exit_reason
from estimator_mnist.system.interpreter import ROOT
from input_fns import InputError

TIMEOUT_SECONDS = 900
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}  # environment in which TensorFlow's C++ logs fatal errors only
Main = Callable[..., int]


def as_command(main: Main) -> Main:
    """Returns a benchmark's main function that reports wrong input in one line with exit code 2, as the commands do."""

    @functools.wraps(main)
    def command(argv: Optional[List[str]] = None) -> int:
        try:
            return main(argv)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return command


class Finished(NamedTuple):
    """A program that has ended."""

    command: List[str]
    exit_code: int  # -N after signal N
    timed_out: bool
    start_time: float  # of time.time
    seconds: float  # wall time from the start of the process to its end
    peak_bytes: int  # most resident memory at a time; at least what this process held when it started the program
    stdout: str
    stderr: str

    def check(self) -> "Finished":
        """Returns itself.

        Raises:
            SystemExit: The program failed. The text has the end of its stderr.
        """
        if self.exit_code:
            raise SystemExit(f"{' '.join(self.command)}: {exit_reason(self.exit_code)}\n{self.stderr[-2000:]}")
        return self


def run(command: Sequence[str]) -> Finished:
    """Runs a program in the project's root to its end.

    Raises:
        SystemExit: It failed, or it was killed after TIMEOUT_SECONDS.
    """
    (finished,) = run_together([Program(command, environment=QUIET, folder=ROOT)])
    return finished.check()


def run_together(programs: Sequence[Program], limit_seconds: float = TIMEOUT_SECONDS) -> List[Finished]:
    """Runs programs at the same time to their ends, whatever their exit codes, each killed after the time limit."""
    with tempfile.TemporaryDirectory() as scratch, ChildProcesses[int]() as children:
        outputs = [(Path(scratch, f"{number}.out"), Path(scratch, f"{number}.err")) for number in range(len(programs))]
        running = [
            children.start(number, dataclasses.replace(program, stdout=stdout, stderr=stderr))
            for number, (program, (stdout, stderr)) in enumerate(zip(programs, outputs))
        ]
        finished = []
        for child, (stdout, stderr) in zip(running, outputs):
            exit_code = child.wait(limit_seconds)
            measured = child.timed_out, child.start_time, child.seconds, child.peak_bytes
            texts = [path.read_text(errors="replace") for path in (stdout, stderr)]
            finished.append(Finished(child.command, exit_code, *measured, *texts))
        return finished


def say(text: str) -> None:
    """Prints progress to standard error, apart from the results."""
    print(text, file=sys.stderr, flush=True)


def spread(values: List[float], digits: int = 2) -> str:
    """Returns "MIN to MAX"."""
    return f"{min(values):,.{digits}f} to {max(values):,.{digits}f}"


def pyplot() -> Any:
    """Returns matplotlib's pyplot, set to draw into files."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    return pyplot


def update_json(path: Path, parts: Dict[str, Any]) -> Dict[str, Any]:
    """Writes measured parts into a JSON file beside the parts of earlier calls, and returns all parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    all_parts = {**(json.loads(path.read_text()) if path.exists() else {}), **parts}
    path.write_text(json.dumps(all_parts, indent=1) + "\n")
    return all_parts
