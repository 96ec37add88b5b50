"""Child processes: started, polled, signalled and ended in one way by the sweep, the local cluster and the benchmarks.

No child outlives its parent. `ChildProcesses` is a context that kills what still runs when it is left. If the parent
is killed itself, even by SIGKILL, its end of a pipe closes, and every child that runs a `Stopper` stops by itself.
"""

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Dict, Generic, Hashable, Iterable, List, Mapping, Optional, Sequence, Set, Tuple, TypeVar, Union

from estimator_mnist.system import signals

PIPE, DISCARD, SAME_AS_STDOUT, INHERIT = subprocess.PIPE, subprocess.DEVNULL, subprocess.STDOUT, None
Output = Union[Path, int, None]  # a file to write, or one of the four constants above
MAX_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes: getrusage(2) counts bytes on macOS, KiB on Linux
Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Program:
    """What a child process runs, and in which surroundings."""

    command: Sequence[str]  # see interpreter.module_command
    stdout: Output = DISCARD
    stderr: Output = SAME_AS_STDOUT
    environment: Mapping[str, str] = field(default_factory=dict)  # replaces and extends this process's
    folder: Optional[Path] = None  # the working directory; None: this process's
    inherited_files: Tuple[int, ...] = ()  # file descriptors that the child keeps open under the same numbers
    cores: Tuple[int, ...] = ()  # the only ones that the child may use; empty: all of this process's; Linux only


class Child:
    """A running or ended child process. Reaped by wait4, which also tells its peak memory."""

    def __init__(self, program: Program, parent_pipe: int):
        """
        Raises:
            OSError: An output file cannot be written, or the program cannot be started.
        """
        self.command = list(program.command)
        self.exit_code: Optional[int] = None  # -N after signal N, None while the child runs
        self.seconds = 0.0  # wall time from the start of the process to its end
        self.peak_bytes = 0  # most resident memory at a time; at least what this process held when it started the child
        self.timed_out = False  # whether `wait` killed it at its time limit
        with ExitStack() as files:
            stdout, stderr = (_opened(output, files) for output in (program.stdout, program.stderr))
            self.start_time = time.time()
            self._started = time.perf_counter()
            self._process = subprocess.Popen(
                self.command,
                cwd=program.folder,
                env={**os.environ, **program.environment, signals.PARENT_PIPE: str(parent_pipe)},
                pass_fds=[parent_pipe, *program.inherited_files],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                text=True,
                errors="replace",
                preexec_fn=functools.partial(os.sched_setaffinity, 0, program.cores) if program.cores else None,
                start_new_session=True,  # a Ctrl-C reaches this process only, which forwards it once
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lines(self) -> IO[str]:
        """What the child prints, where its stdout is a PIPE."""
        assert self._process.stdout is not None
        return self._process.stdout

    def poll(self) -> Optional[int]:
        """Returns the exit code, None while the child runs."""
        return self._reap(os.WNOHANG)

    def wait(self, limit_seconds: Optional[float] = None) -> int:
        """Waits for the end and returns the exit code; a child that runs longer than the limit is killed."""
        timer = threading.Timer(limit_seconds, self._time_out) if limit_seconds is not None else None
        if timer:
            timer.start()
        try:
            exit_code = self._reap(0)
        finally:
            if timer:
                timer.cancel()
        assert exit_code is not None
        return exit_code

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> int:
        """Ends the child at once, waits until it is gone, and returns its exit code."""
        self.send_signal(signal.SIGKILL)
        return self.wait()

    def _time_out(self) -> None:
        # Does not reap, for `wait` is about to: until then the process id cannot belong to another process.
        if self.exit_code is None:
            self.timed_out = True
            with suppress(ProcessLookupError):  # it ended at this very moment
                os.kill(self.pid, signal.SIGKILL)

    def _reap(self, options: int) -> Optional[int]:
        if self.exit_code is None:
            pid, status, usage = os.wait4(self.pid, options)
            if pid:
                self.seconds = time.perf_counter() - self._started
                self.peak_bytes = usage.ru_maxrss * MAX_RSS_UNIT
                self.exit_code = self._process.returncode = os.waitstatus_to_exitcode(status)
        return self.exit_code


class ChildProcesses(Generic[Key]):
    """The children of a command, each under a key. A context: what still runs when it is left is killed."""

    def __init__(self) -> None:
        self.running: Dict[Key, Child] = {}
        self._sent: Set[Tuple[Child, int]] = set()  # signals
        self._kill_time: Optional[float] = None  # of time.monotonic
        self._pipe_reader, self._pipe_writer = os.pipe()

    def __enter__(self) -> "ChildProcesses[Key]":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def start(self, key: Key, program: Program) -> Child:
        """
        Raises:
            OSError: An output file cannot be written, or the program cannot be started.
        """
        self.running[key] = child = Child(program, self._pipe_reader)
        return child

    def ended(self) -> List[Tuple[Key, int]]:
        """Returns (key, exit code) of the children that ended since the last call; they are no longer `running`.

        Kills those that run beyond the grace period of `kill_after`.
        """
        exit_codes = [(key, child.poll()) for key, child in self.running.items()]
        ends = [(key, exit_code) for key, exit_code in exit_codes if exit_code is not None]
        for key, _ in ends:
            del self.running[key]
        if self._kill_time is not None and time.monotonic() > self._kill_time:
            self.send_once(signal.SIGKILL, self.running)
        return ends

    def send_once(self, signum: int, keys: Iterable[Key]) -> None:
        """Sends a signal to running children, except to those that have had it.

        A second SIGTERM or SIGINT would interrupt a child that is saving because of the first.
        """
        for key in list(keys):
            child = self.running[key]
            if (child, signum) not in self._sent:
                self._sent.add((child, signum))
                child.send_signal(signum)

    def kill_after(self, grace_seconds: float) -> None:
        """From this time on, `ended` kills whatever still runs. Only the first call starts the grace period."""
        if self._kill_time is None:
            self._kill_time = time.monotonic() + grace_seconds

    def wait_all(self) -> None:
        """Waits, without a limit, until all children have ended."""
        for child in self.running.values():
            child.wait()
        self.running.clear()

    def close(self) -> None:
        """Kills whatever still runs and waits until it is gone."""
        for child in self.running.values():
            child.send_signal(signal.SIGKILL)
        self.wait_all()
        os.close(self._pipe_writer)
        os.close(self._pipe_reader)


def exit_reason(exit_code: int) -> str:
    """Returns how a child ended that failed: "exit code 2" or "SIGKILL"."""
    return f"exit code {exit_code}" if exit_code >= 0 else signal.Signals(-exit_code).name


def _opened(output: Output, files: ExitStack) -> Union[IO[bytes], int, None]:
    return files.enter_context(open(output, "wb")) if isinstance(output, Path) else output
