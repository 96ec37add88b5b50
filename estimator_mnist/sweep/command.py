"""The sweep command: many runs of the main command over lists of values or a search, and a table at the end."""

import re
import sys
from pathlib import Path
from typing import Callable, Dict, Iterable, List, Tuple, Type

from tqdm import tqdm

from estimator_mnist.config import flags
from estimator_mnist.config.flags import FLAGS
from estimator_mnist.model_dir import prepare
from estimator_mnist.sweep import processes as runs
from estimator_mnist.sweep import search_space, table, value_lists
from estimator_mnist.sweep.processes import Outcome, Search
from estimator_mnist.sweep.search import FAILED, FINISHED, PRUNED, Listed, Optuna, Run
from estimator_mnist.sweep.search_space import Setting, Space
from estimator_mnist.system import paths, terminal
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.signals import Stopper
from estimator_mnist.system.terminal import percent
from input_fns import Data, InputError
from input_fns.errors import reason

NAMING_DATA = ("dataset", "source", "input", "validation_size")  # flags that make other data


def run(words: List[str], find_data: Callable[[], Data]) -> int:
    """Runs a sweep to its end, or goes on with it, and returns the exit code.

    Args:
        words: The command line after `sweep`.
        find_data: Returns the data that FLAGS name.

    Raises:
        InputError: A flag or the folder is wrong; nothing was started.
        RunError: The folder cannot be written any more.
    """
    space = value_lists.read(words)
    if FLAGS.sweep_dir and paths.SCHEME.match(FLAGS.sweep_dir):
        raise InputError(f"--sweep_dir {FLAGS.sweep_dir}: must be a local folder; only a single run's may be remote")
    folder = Path(FLAGS.sweep_dir).expanduser() if FLAGS.sweep_dir else space.default_folder()
    jobs = FLAGS.jobs or runs.cores()
    maker = _RunMaker(space, folder, find_data)
    if space.search == "optuna":
        space.check_samples()
        for setting in space.corners():
            maker.make(setting, space.seeds[0])
    else:
        listed = Listed(space.settings(), space.seeds, maker.make)
    _check_place(folder)
    space.check_extends(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--sweep_dir {folder}: cannot be used ({error.strerror or error})") from error
    with prepare.in_use(folder, "--sweep_dir"), Stopper() as stopper:
        stopper.deferring = True
        errors: Tuple[Type[Exception], ...] = (OSError,)
        try:
            space.write(folder)
            search: Search = Optuna(space, folder, maker.make) if space.search == "optuna" else listed
            errors += search.errors
            return _run(search, jobs, folder, stopper)
        except BrokenPipeError:
            raise  # nobody is left to tell
        except errors as error:
            cause = error.__cause__ or error  # Optuna's own words are of what is rarely the matter
            why = f"the sweep failed there ({reason(cause)}); the same command goes on"
            raise RunError(f"--sweep_dir {folder}: {why}") from error


def _run(search: Search, jobs: int, folder: Path, stopper: Stopper) -> int:
    logs = folder / runs.LOGS
    terminal.say(f"{search.total:,} runs in {folder}, {jobs} at a time; what each prints is in {logs}")
    with _Progress(search) as progress:
        outcomes = runs.run_all(search, jobs, folder, stopper, progress.ended, progress.working)
    for known in search.runs:  # of earlier calls, where the search did not ask for them again
        if known not in outcomes and known.folder.is_dir():
            outcomes[known] = runs.finished(known) or Outcome(PRUNED, "", None)
    rows = table.rows(outcomes)
    if stopper.requested:
        done = sum(outcome.state == FINISHED for outcome in outcomes.values())
        terminal.say(f"Stopped: {done:,} of {search.total:,} runs are finished; the same command goes on")
        return 128 + stopper.requested
    split = next((o.results.get("evaluated_split", "test") for o in outcomes.values() if o.results), "test")
    table.write(rows, outcomes, split, folder)
    if rows:
        table.show(rows, split)
        pruned = len({run.setting for run, outcome in outcomes.items() if outcome.state == PRUNED})
        terminal.say(f"\n{pruned} settings were ended early, as others were ahead of them" if pruned else "")
        names = table.TABLE, table.RUNS, table.PICTURE
        terminal.say("Table: {}   Runs: {}   Picture: {}".format(*(folder / name for name in names)))
        terminal.say(f"TensorBoard: bash run.sh tensorboard --logdir {folder}")
    failures = {run.name: outcome.reason for run, outcome in outcomes.items() if outcome.state == FAILED}
    failures.update(search.impossible)
    for name, why in failures.items():
        print(f"error: {name}: {why}", file=sys.stderr)
    return 1 if failures else 0


class _RunMaker:
    """Makes runs of settings; each is checked as its command line will be."""

    def __init__(self, space: Space, folder: Path, find_data: Callable[[], Data]):
        self._space, self._folder, self._find_data = space, folder, find_data
        self._data: Dict[Tuple[object, ...], Data] = {}

    def make(self, setting: Setting, seed: str) -> Run:
        """Raises InputError where the setting is not possible."""
        given = {**self._space.fixed, **dict(setting), "seed": seed}
        value_lists.parse(given)
        named = tuple(FLAGS[name].value for name in NAMING_DATA if name in FLAGS)
        if named not in self._data:
            self._data[named] = self._find_data()
        experiment = flags.experiment(self._data[named])
        name = search_space.name(setting, seed)
        words = tuple(f"--{flag}={text}" for flag, text in given.items())
        return Run(setting, seed, name, self._folder / name, words, experiment)


def _check_place(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--sweep_dir {folder}: is a file, not a folder")
    is_sweep = not folder.is_dir() or (folder / search_space.FILE_NAME).exists()
    if not is_sweep and any(path.name != prepare.LOCK for path in folder.iterdir()):
        raise InputError(f"--sweep_dir {folder}: is not empty and holds no {search_space.FILE_NAME}; name another one")


class _Progress:
    """Shows each run as it ends, and below them a bar over the whole if standard error is a terminal."""

    def __init__(self, search: Search):
        self._bar = tqdm(
            total=search.total,
            disable=not sys.stderr.isatty(),
            dynamic_ncols=True,
            leave=False,
            bar_format="{percentage:3.0f}% |{bar}| {postfix}, {elapsed} gone, {remaining} left",
        )
        self._search = search

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()

    def ended(self, run: Run, outcome: Outcome, now: bool) -> None:
        if outcome.state not in (FINISHED, PRUNED, FAILED):
            return
        said = {PRUNED: "ended early: others are ahead of it", FAILED: f"failed: {outcome.reason}"}
        if outcome.results:
            seconds = f"{outcome.results['seconds']['total']:.0f} s" if now else "finished earlier"
            said[FINISHED] = f"accuracy {percent(outcome.accuracy)}, {seconds}"
        total = str(self._search.total)
        terminal.say(f"{self._search.settled:>{len(total)}}/{total} {run.name}: {said[outcome.state]}")

    def working(self, runs: Iterable[Run]) -> None:
        if self._bar.disable:
            return
        at_work = list(runs)
        self._bar.n = self._search.settled + sum(map(_share_done, at_work))
        self._bar.set_postfix_str(f"{self._search.settled} of {self._search.total} runs, {len(at_work)} at work")


def _share_done(run: Run) -> float:
    """Returns how much of a run is done, by the names of its checkpoints."""
    found = (re.fullmatch(r"model\.ckpt-(\d+)\.index", path.name) for path in run.folder.glob("model.ckpt-*.index"))
    return max((int(match[1]) for match in found if match), default=0) / run.experiment.total_steps
