"""The runs of a sweep as child processes, several at a time, each a normal run of the main command."""

import os
import signal
import time
from pathlib import Path
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Protocol

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model_dir import ranking, results
from estimator_mnist.sweep.search import FAILED, FINISHED, PRUNED, STOPPED, Run, Search
from estimator_mnist.system.child_processes import ChildProcesses, Program, exit_reason
from estimator_mnist.system.interpreter import module_command
from estimator_mnist.system.signals import Stopper
from input_fns import InputError

LOGS = "logs"  # in the folder of the sweep: the folder of what each run printed
POLL_SECONDS = 0.1


class Outcome(NamedTuple):
    """How a run ended."""

    state: str
    reason: str = ""  # why it FAILED, in one line
    results: Optional[Dict[str, Any]] = None  # the content of results.json if it is FINISHED

    @property
    def accuracy(self) -> float:
        """Final accuracy on the evaluated split, 0 to 1; 0 if the run is not FINISHED."""
        return float(self.results["final"]["test_accuracy"]) if self.results else 0.0

    def score(self, run: Run) -> float:
        """The final value of the run's --best_metric, negated where lower is better; 0 if the run is not FINISHED."""
        return ranking.of_experiment(run.experiment).score(results.final_figures(self.results)) if self.results else 0.0


class Progress(Protocol):
    """Shows the progress of a sweep."""

    def run_ended(self, run: Run, outcome: Outcome, just_now: bool) -> None:
        """Called for every run; `just_now` is false if an earlier call of the sweep finished it."""

    def update(self, running: Iterable[Run]) -> None:
        """Called at each poll with the running runs."""


def available_cores() -> int:
    """Returns the number of cores that this process may use, which is how many runs a sweep trains at a time.

    As many runs as cores give the most runs an hour. With two processes on two cores each run is slower, but not by
    half, and the start and the end of a run use one core only. See BUILD_NOTES.md for figures.
    """
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def finished_outcome(run: Run) -> Optional[Outcome]:
    """Returns the outcome of a finished run, None if the run has something left to do."""
    run_results = results.read(run.folder)
    try:
        stored = Experiment.read(run.folder) if run_results else None
    except InputError:  # corrupt: the run itself reports it
        return None
    same = stored is not None and not run.experiment.differences(stored)
    return Outcome(FINISHED, results=run_results) if same else None


def run_all(search: Search, jobs: int, folder: Path, stopper: Stopper, progress: Progress) -> Dict[Run, Outcome]:
    """Runs what a search asks for, until it asks for nothing more or a signal arrives.

    Args:
        search: Decides what to run and what to prune.
        jobs: Number of runs at a time.
        folder: The folder of the sweep.
        stopper: Is deferring. A signal that it records stops all runs, which save their step.
        progress: Shows the runs as they end.

    Raises:
        OSError: A log cannot be written, or a process cannot be started.
    """
    return _Sweep(search, folder, stopper, progress).run(jobs)


class _Sweep:
    """The running child processes of a sweep, and the outcomes of those that have ended."""

    def __init__(self, search: Search, folder: Path, stopper: Stopper, progress: Progress):
        self._search, self._stopper, self._progress = search, stopper, progress
        self._logs = folder / LOGS
        self._outcomes: Dict[Run, Outcome] = {}
        self._requested_states: Dict[Run, str] = {}  # PRUNED or STOPPED, of the runs that were asked to end
        self._event_file_bytes: Dict[Run, int] = {}  # of their evaluations
        self._children: ChildProcesses[Run] = ChildProcesses()

    def run(self, jobs: int) -> Dict[Run, Outcome]:
        with self._children:
            try:
                while True:
                    self._start_runs(jobs)
                    if not self._children.running:
                        return self._outcomes
                    time.sleep(POLL_SECONDS)
                    self._poll()
            finally:
                self._stop(self._children.running, STOPPED)
                self._children.wait_all()  # they save first

    def _start_runs(self, jobs: int) -> None:
        while len(self._children.running) < jobs and not self._stopper.requested:
            run = self._search.next_run()
            if run is None:
                return
            outcome = finished_outcome(run)
            if outcome is None:
                self._start(run)
            else:
                self._record(run, outcome, just_now=False)

    def _start(self, run: Run) -> None:
        self._logs.mkdir(exist_ok=True)
        command = module_command("estimator_mnist", *run.flags, "--model_dir", run.folder)
        self._children.start(run, Program(command, stdout=self._log(run)))

    def _poll(self) -> None:
        self._progress.update(self._children.running)
        if self._stopper.requested:
            self._stop(self._children.running, STOPPED)
        for run, exit_code in self._children.ended():
            self._record(run, self._outcome(run, exit_code), just_now=True)
        if self._search.judges_evaluations:
            for run in self._children.running:
                if self._has_new_evaluation(run) and self._search.should_prune(run, _scores(run)):
                    self._stop([run], PRUNED)

    def _record(self, run: Run, outcome: Outcome, just_now: bool) -> None:
        if self._search.judges_evaluations and outcome.state == FINISHED:
            self._search.should_prune(run, _scores(run))
        self._search.record_end(run, outcome.state, outcome.score(run))
        self._outcomes[run] = outcome
        self._progress.run_ended(run, outcome, just_now)

    def _stop(self, runs: Iterable[Run], state: str) -> None:
        """Asks runs to save and end. The first reason counts, and nobody is asked twice."""
        for run in runs:
            self._requested_states.setdefault(run, state)
        self._children.send_once(signal.SIGTERM, runs)

    def _outcome(self, run: Run, exit_code: int) -> Outcome:
        requested_state = self._requested_states.pop(run, None)
        outcome = finished_outcome(run) if exit_code == 0 else None
        if outcome:
            return outcome
        return Outcome(requested_state) if requested_state else Outcome(FAILED, self._failure(run, exit_code))

    def _has_new_evaluation(self, run: Run) -> bool:
        """Returns whether the event files of the run's evaluations have grown since the last call."""
        size = sum(path.stat().st_size for path in run.folder.glob("eval_*/events.out.tfevents.*"))
        has_grown = size != self._event_file_bytes.get(run)
        self._event_file_bytes[run] = size
        return has_grown

    def _log(self, run: Run) -> Path:
        return self._logs / f"{run.name}.txt"

    def _failure(self, run: Run, exit_code: int) -> str:
        """Returns the error line of a failed run, or else the last line that it printed."""
        if exit_code < 0:
            return f"ended by {exit_reason(exit_code)}"
        lines: List[str] = [line.strip() for line in self._log(run).read_text(errors="replace").split("\n")]
        printed = [line for line in lines if line]
        errors = [line[len("error: ") :] for line in printed if line.startswith("error: ")]
        return (errors or printed or [exit_reason(exit_code)])[-1]


def _scores(run: Run) -> Dict[int, float]:
    """Returns {step: score} of the evaluations of a run so far, read from its event files."""
    import tensorflow as tf

    from estimator_mnist.model_dir import event_files

    tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.FATAL)  # each reading of events warns of its deprecation
    best = ranking.of_experiment(run.experiment)
    return {step: best.score(figures) for step, figures in event_files.evaluations(run.folder).items()}
