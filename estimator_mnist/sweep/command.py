"""The sweep command: many runs of the main command over lists of values or a search, and a table of their results."""

import re
import shlex
import sys
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Tuple, Type

from tqdm import tqdm

from estimator_mnist.config import flags
from estimator_mnist.config.flags import FLAGS
from estimator_mnist.model_dir import prepare
from estimator_mnist.sweep import processes, search_space, table, value_lists
from estimator_mnist.sweep.processes import Outcome
from estimator_mnist.sweep.search import FAILED, FINISHED, PRUNED, ListedRuns, MakeRun, OptunaSearch, Run, Search
from estimator_mnist.sweep.search_space import Setting, Space
from estimator_mnist.system import command_name, terminal
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.remote_path import SCHEME
from estimator_mnist.system.signals import Stopper
from estimator_mnist.system.terminal import percent
from input_fns import Data, InputError
from input_fns.errors import reason

# Runs that differ in one of these use different data.
DATA_FLAGS = ("dataset", "source", "input", "validation_size", "image_size", "test_fraction")


def run(words: List[str], find_data: Callable[[], Data]) -> int:
    """Runs a sweep to its end, or resumes it, and returns the exit code.

    Args:
        words: The command line after `sweep`.
        find_data: Returns the data that FLAGS name.

    Raises:
        InputError: A flag or the folder is wrong; nothing was started.
        RunError: The folder is no longer writable.
    """
    space = value_lists.read(words)
    if FLAGS.sweep_dir and SCHEME.match(FLAGS.sweep_dir):
        raise InputError(f"--sweep_dir {FLAGS.sweep_dir}: must be a local folder; only a single run's may be remote")
    folder = Path(FLAGS.sweep_dir).expanduser() if FLAGS.sweep_dir else space.default_folder()
    jobs = FLAGS.jobs or processes.available_cores()
    create_search = _checked_search(space, folder, _RunMaker(space, folder, find_data).make_run)
    _check_is_sweep_or_empty(folder)
    space.check_extends(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--sweep_dir {folder}: cannot be used ({error.strerror or error})") from error
    with prepare.in_use(folder, "--sweep_dir"), Stopper() as stopper:
        stopper.deferring = True
        environment_errors: Tuple[Type[Exception], ...] = (OSError,)
        try:
            space.write(folder)
            search = create_search()
            environment_errors += search.storage_errors
            return _run_and_report(search, jobs, folder, stopper)
        except BrokenPipeError:
            raise  # nobody reads the output any more
        except environment_errors as error:
            cause = error.__cause__ or error  # the message that Optuna puts around it rarely names the problem
            why = f"the sweep failed there ({reason(cause)}); rerun the same command to resume"
            raise RunError(f"--sweep_dir {folder}: {why}") from error


def _checked_search(space: Space, folder: Path, make_run: MakeRun) -> Callable[[], Search]:
    """Checks that the runs of a sweep are possible, and returns a function that creates the search in its folder.

    Raises:
        InputError: A setting is impossible.
    """
    if space.search != "optuna":
        listed = ListedRuns(space.settings(), space.seeds, make_run)
        return lambda: listed
    space.check_samples()
    for setting in space.corners():
        make_run(setting, space.seeds[0])
    return lambda: OptunaSearch(space, folder, make_run)


def _run_and_report(search: Search, jobs: int, folder: Path, stopper: Stopper) -> int:
    logs = folder / processes.LOGS
    terminal.say(f"{search.total_runs:,} runs in {folder}, {jobs} at a time; each prints to its file in {logs}")
    with _ProgressBar(search) as bar:
        outcomes = processes.run_all(search, jobs, folder, stopper, bar)
    for known_run in search.runs:  # those of earlier calls that the search did not ask for again
        if known_run not in outcomes and known_run.folder.is_dir():
            outcomes[known_run] = processes.finished_outcome(known_run) or Outcome(PRUNED)
    rows = table.rows(outcomes)
    if stopper.requested:
        finished = sum(outcome.state == FINISHED for outcome in outcomes.values())
        done = f"{finished:,} of {search.total_runs:,} runs are finished"
        terminal.say(f"Stopped: {done}; rerun the same command to resume")
        return 128 + stopper.requested
    split = next((o.results.get("evaluated_split", "test") for o in outcomes.values() if o.results), "test")
    table.write(rows, outcomes, split, folder)
    if rows:
        table.show(rows, split)
        _say_where(outcomes, folder)
    failures = {run.name: outcome.reason for run, outcome in outcomes.items() if outcome.state == FAILED}
    failures.update(search.impossible)
    for name, why in failures.items():
        print(f"error: {name}: {why}", file=sys.stderr)
    return 1 if failures else 0


def _say_where(outcomes: Dict[Run, Outcome], folder: Path) -> None:
    pruned = len({run.setting for run, outcome in outcomes.items() if outcome.state == PRUNED})
    terminal.say(f"\n{pruned} settings were pruned: other settings were ahead of them" if pruned else "")
    names = table.TABLE, table.RUNS, table.PICTURE
    terminal.say("Table: {}   Runs: {}   Picture: {}".format(*(folder / name for name in names)))
    terminal.say(f"TensorBoard: {command_name.text()} tensorboard --logdir {shlex.quote(str(folder))}")


class _RunMaker:
    """Turns settings into runs, each checked as its own command line would be."""

    def __init__(self, space: Space, folder: Path, find_data: Callable[[], Data]):
        self._space, self._folder, self._find_data = space, folder, find_data
        self._data: Dict[Tuple[object, ...], Data] = {}  # by the values of DATA_FLAGS

    def make_run(self, setting: Setting, seed: str) -> Run:
        """
        Raises:
            InputError: The setting is impossible.
        """
        values = {**self._space.fixed, **dict(setting), "seed": seed}
        value_lists.parse(values)
        data_values = tuple(FLAGS[name].value for name in DATA_FLAGS if name in FLAGS)
        if data_values not in self._data:
            self._data[data_values] = self._find_data()
        experiment = flags.experiment(self._data[data_values])
        name = search_space.run_name(setting, seed)
        run_flags = tuple(f"--{flag}={text}" for flag, text in values.items())
        return Run(setting, seed, name, self._folder / name, run_flags, experiment)


def _check_is_sweep_or_empty(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--sweep_dir {folder}: is a file, not a folder")
    may_be_used = not folder.is_dir() or (folder / search_space.FILE_NAME).exists()
    if not may_be_used and any(path.name != prepare.LOCK for path in folder.iterdir()):
        raise InputError(f"--sweep_dir {folder}: is not empty and holds no {search_space.FILE_NAME}; name another one")


class _ProgressBar:
    """Prints each run as it ends, above a bar for the entire sweep if standard error is a terminal."""

    def __init__(self, search: Search):
        self._bar = tqdm(
            total=search.total_runs,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
            bar_format="{percentage:3.0f}% |{bar}| {postfix}, {elapsed} elapsed, {remaining} left",
        )
        self._search = search

    def __enter__(self) -> "_ProgressBar":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def run_ended(self, run: Run, outcome: Outcome, just_now: bool) -> None:
        if outcome.state not in (FINISHED, PRUNED, FAILED):
            return
        messages = {PRUNED: "pruned: other settings are ahead of it", FAILED: f"failed: {outcome.reason}"}
        if outcome.results:
            seconds = f"{outcome.results['seconds']['total']:.0f} s" if just_now else "finished earlier"
            messages[FINISHED] = f"accuracy {percent(outcome.accuracy)}, {seconds}"
        settled, total = self._search.settled_runs, str(self._search.total_runs)
        terminal.say(f"{settled:>{len(total)}}/{total} {run.name}: {messages[outcome.state]}")

    def update(self, running: Iterable[Run]) -> None:
        if self._bar.disable:
            return
        runs, search = list(running), self._search
        self._bar.n = search.settled_runs + sum(map(_trained_share, runs))
        self._bar.set_postfix_str(f"{search.settled_runs} of {search.total_runs} runs done, {len(runs)} running")


def _trained_share(run: Run) -> float:
    """Returns the trained share of a run's steps, 0 to 1, by the names of its checkpoints."""
    matches = (re.fullmatch(r"model\.ckpt-(\d+)\.index", path.name) for path in run.folder.glob("model.ckpt-*.index"))
    return max((int(match[1]) for match in matches if match), default=0) / run.experiment.total_steps
