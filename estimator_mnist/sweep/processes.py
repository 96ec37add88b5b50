"""The runs of a sweep as processes, several at a time, each a normal run of the main command."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, NamedTuple, Optional, Union

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model_dir import results
from estimator_mnist.sweep.search import FAILED, FINISHED, PRUNED, STOPPED, Listed, Optuna, Run
from estimator_mnist.system import signals
from estimator_mnist.system.interpreter import module_command
from estimator_mnist.system.signals import Stopper
from input_fns import InputError

LOGS = "logs"  # folder in the folder of the sweep: what each run printed
POLL_SECONDS = 0.1
Search = Union[Listed, Optuna]


class Outcome(NamedTuple):
    """How a run ended."""

    state: str
    reason: str  # why it FAILED, in one line
    results: Optional[Dict[str, Any]]  # of results.json where it is FINISHED

    @property
    def accuracy(self) -> float:
        return float(self.results["final"]["test_accuracy"]) if self.results else 0.0


def cores() -> int:
    """Returns the cores that this process may use.

    As many runs at a time give the most runs an hour: a run of two processes on two cores is slower, but not by half,
    and the start and end of a run use one core only. See BUILD_NOTES.md for figures.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def finished(run: Run) -> Optional[Outcome]:
    """Returns the outcome of a run that is finished, None if there is something left to do."""
    outcome = results.read(run.folder)
    try:
        stored = Experiment.read(run.folder) if outcome else None
    except InputError:  # damaged: the run itself will say so
        return None
    same = stored is not None and not run.experiment.differences(stored)
    return Outcome(FINISHED, "", outcome) if same else None


def run_all(
    search: Search,
    jobs: int,
    folder: Path,
    stopper: Stopper,
    ended: Callable[[Run, Outcome, bool], None],
    working: Callable[[Iterable[Run]], None],
) -> Dict[Run, Outcome]:
    """Runs what a search asks for, until it asks for nothing more or a signal comes.

    Args:
        search: Says what to run.
        jobs: Runs at a time.
        folder: Of the sweep.
        stopper: Is deferring; a signal in it ends all runs, which save their step.
        ended: Called for every run with how it ended and whether it ran just now, and not in an earlier call.
        working: Called now and then with the runs at work.

    Raises:
        OSError: A log or process cannot be made.
    """
    outcomes: Dict[Run, Outcome] = {}
    processes = _Processes(folder)
    try:
        while True:
            while len(processes.running) < jobs and not stopper.requested:
                run = search.next()
                if run is None:
                    break
                before = finished(run)
                if before is None:
                    processes.start(run)
                    continue
                _tell(search, run, before)
                outcomes[run] = before
                ended(run, before, False)
            if not processes.running:
                return outcomes
            time.sleep(POLL_SECONDS)
            working(processes.running)
            if stopper.requested:
                processes.stop_all()
            for run in list(processes.running):
                outcome = processes.outcome(run)
                if outcome is not None:
                    _tell(search, run, outcome)
                    outcomes[run] = outcome
                    ended(run, outcome, True)
                elif search.watches and processes.has_evaluated(run) and search.evaluated(run, _accuracies(run)):
                    processes.prune(run)
    finally:
        processes.stop_all()
        processes.close()


def _tell(search: Search, run: Run, outcome: Outcome) -> None:
    if search.watches and outcome.state == FINISHED:
        search.evaluated(run, _accuracies(run))
    search.ended(run, outcome.state, outcome.accuracy)


def _accuracies(run: Run) -> Dict[int, float]:
    """Returns {step: accuracy} of the evaluations of a run so far, from its event files."""
    import tensorflow as tf

    from estimator_mnist.model_dir import event_files

    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.FATAL)  # reading events is deprecated, each time anew
    return {step: float(result["accuracy"]) for step, result in event_files.evaluations(run.folder).items()}


class _Processes:
    """The processes at work. They end with this one, in whatever way it ends: see stopping.PARENT_PIPE."""

    def __init__(self, folder: Path):
        self.running: Dict[Run, subprocess.Popen[bytes]] = {}
        self._logs = folder / LOGS
        self._asked: Dict[Run, str] = {}  # those that were asked to end, and why
        self._sizes: Dict[Run, int] = {}  # of the event files of their evaluations
        self._reader, self._writer = os.pipe()

    def start(self, run: Run) -> None:
        self._logs.mkdir(exist_ok=True)
        with open(self._log(run), "wb") as log:
            self.running[run] = subprocess.Popen(
                module_command("estimator_mnist", *run.words, "--model_dir", run.folder),
                env={**os.environ, signals.PARENT_PIPE: str(self._reader)},
                pass_fds=[self._reader],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C is for this process, which tells them once
            )

    def outcome(self, run: Run) -> Optional[Outcome]:
        """Returns how a run ended, None if it has not; it counts as running no more."""
        code = self.running[run].poll()
        if code is None:
            return None
        del self.running[run]
        asked = self._asked.pop(run, None)
        outcome = finished(run) if code == 0 else None
        if outcome:
            return outcome
        if asked:
            return Outcome(asked, "", None)
        return Outcome(FAILED, self._reason(run, code), None)

    def has_evaluated(self, run: Run) -> bool:
        """Tells whether there is an evaluation that was not there when it was last asked."""
        size = sum(path.stat().st_size for path in run.folder.glob("eval_*/events.out.tfevents.*"))
        changed = size != self._sizes.get(run)
        self._sizes[run] = size
        return changed

    def prune(self, run: Run) -> None:
        self._stop(run, PRUNED)

    def stop_all(self) -> None:
        for run in self.running:
            self._stop(run, STOPPED)

    def _stop(self, run: Run, why: str) -> None:
        if run not in self._asked:
            self._asked[run] = why
            self.running[run].terminate()

    def close(self) -> None:
        """Waits for those that were asked to end; they save first."""
        for process in self.running.values():
            process.wait()
        os.close(self._writer)
        os.close(self._reader)

    def _log(self, run: Run) -> Path:
        return self._logs / f"{run.name}.txt"

    def _reason(self, run: Run, code: int) -> str:
        """Returns the error line of a run that failed, or the last that it printed."""
        if code < 0:
            return f"ended by {signal.Signals(-code).name}"
        lines: List[str] = self._log(run).read_text(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        errors = [line[len("error: ") :] for line in said if line.startswith("error: ")]
        return (errors or said or [f"exit code {code}"])[-1]
