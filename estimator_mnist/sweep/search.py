"""In which order a sweep's runs come, and which of them are not worth going on with."""

from collections import deque
from pathlib import Path
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Tuple, Type
from urllib.parse import quote

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.sweep.search_space import Setting, Space, name
from input_fns import InputError
from input_fns.errors import reason

STUDY = "study.db"  # Optuna's trials, an SQLite file in the folder of the sweep
MOST_REPEATS = 100  # settings that were tried already, before Optuna is taken to know no other
FINISHED, PRUNED, FAILED, STOPPED = "finished", "pruned", "failed", "stopped"


class Run(NamedTuple):
    """One run of a sweep: a normal run of the main command in a model_dir of its own."""

    setting: Setting
    seed: str
    name: str
    folder: Path
    words: Tuple[str, ...]  # the flags of its command, --model_dir apart
    experiment: Experiment


MakeRun = Callable[[Setting, str], Run]  # raises InputError where a setting is not possible


class Listed:
    """A grid, or what was drawn at random: all runs are known before the first, and none is pruned."""

    watches = False  # does not ask for the evaluations of a run before its end
    errors: Tuple[Type[Exception], ...] = ()  # what its storage may raise

    def __init__(self, settings: List[Setting], seeds: List[str], make_run: MakeRun):
        # Each setting once before any a second time: a sweep that is stopped early has seen all of them.
        self.runs = [make_run(setting, seed) for seed in seeds for setting in settings]
        self.total = len(self.runs)
        self.impossible: Dict[str, str] = {}  # name of a setting's first run -> why it cannot be
        self._waiting = deque(self.runs)
        self._settled = 0

    @property
    def settled(self) -> int:
        """How many of the `total` runs have come to an end, or will not come."""
        return self._settled

    def next(self) -> Optional[Run]:
        """Returns the next run, None if there is none at present."""
        return self._waiting.popleft() if self._waiting else None

    def evaluated(self, run: Run, accuracies: Dict[int, float]) -> bool:
        """Is told the evaluations of a run so far, {step: accuracy}, and returns whether the run is hopeless."""
        return False

    def ended(self, run: Run, state: str, accuracy: float) -> None:
        """Is told how a run came to its end, and with which accuracy where it is FINISHED."""
        self._settled += state != STOPPED


class Optuna:
    """Settings by Optuna's TPE sampler, hopeless ones ended by its median pruner; both as the library sets them.

    A trial is a setting. Its seeds run one after the other; it is judged by the mean of their accuracies. All trials
    are in an SQLite file, so that a killed search goes on with what it knew.
    """

    watches = True

    def __init__(self, space: Space, folder: Path, make_run: MakeRun):
        """
        Raises:
            InputError: The file of trials is damaged, or cannot be written.
        """
        import optuna
        from sqlalchemy import URL
        from sqlalchemy.exc import SQLAlchemyError

        self.errors: Tuple[Type[Exception], ...] = (optuna.exceptions.OptunaError, SQLAlchemyError)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._states = optuna.trial.TrialState
        self._space, self._make_run = space, make_run
        self.runs: List[Run] = []
        self.impossible: Dict[str, str] = {}
        self.total = (space.samples or 0) * len(space.seeds)
        path = folder.absolute() / STUDY
        # As a URI, in which no character of the path is taken for the end of it.
        url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"uri": "true"})
        try:
            self._study = optuna.create_study(
                storage=optuna.storages.RDBStorage(url.render_as_string()),
                study_name="sweep",
                direction="maximize",
                pruner=optuna.pruners.MedianPruner(),
                load_if_exists=True,
            )
            trials = self._study.get_trials(deepcopy=False)
        except Exception as error:  # of SQLAlchemy, of SQLite and of Optuna
            raise InputError(f"{path}: cannot be used ({reason(error)}); name another --sweep_dir") from error
        # Another seed each time, or the search would draw again what it drew when it was started.
        self._study.sampler = optuna.samplers.TPESampler(seed=len(trials))
        self._known: Dict[Setting, str] = {}  # setting -> state
        self._trials: Dict[Setting, Any] = {}  # those at work
        self._accuracies: Dict[Setting, List[float]] = {}
        self._reported: Dict[Run, set] = {}
        self._waiting: Deque[Run] = deque()
        self._attempts = MOST_REPEATS
        self._go_on(trials)

    def _go_on(self, trials: List[Any]) -> None:
        """Takes over what earlier calls have told, and puts first what they left undone or what failed."""
        undone: Dict[Setting, Dict[str, Any]] = {}
        for trial in trials:
            setting = self._setting(trial.params) if trial.state != self._states.WAITING else None
            if setting and trial.state in (self._states.COMPLETE, self._states.PRUNED):
                self._known[setting] = FINISHED if trial.state == self._states.COMPLETE else PRUNED
            elif setting:
                undone[setting] = trial.params
            if trial.state == self._states.RUNNING:
                self._study.tell(trial.number, state=self._states.FAIL)
        for setting, params in undone.items():
            if setting not in self._known:
                self._study.enqueue_trial(params)
        self.runs = [self._make_run(setting, seed) for setting in self._known for seed in self._space.seeds]

    @property
    def settled(self) -> int:
        at_work = {setting: len(self._accuracies[setting]) for setting in self._trials}
        return sum(at_work.get(setting, len(self._space.seeds)) for setting in self._known)

    def next(self) -> Optional[Run]:
        while not self._waiting and len(self._known) < (self._space.samples or 0) and self._attempts:
            trial = self._study.ask()
            setting = self._setting(self._suggest(trial))
            assert setting is not None  # all of it has just been suggested
            if setting in self._known:  # of few lists, the same is soon found again: it says nothing new
                self._attempts -= 1
                self._study.tell(trial, state=self._states.FAIL)
                continue
            self._known[setting], self._trials[setting], self._accuracies[setting] = STOPPED, trial, []
            try:
                self._start_seed(setting)
            except InputError as error:
                self.impossible[name(setting, self._space.seeds[0])] = str(error)
                self._study.tell(trial, state=self._states.FAIL)
                del self._trials[setting]
        return self._waiting.popleft() if self._waiting else None

    def _start_seed(self, setting: Setting) -> None:
        run = self._make_run(setting, self._space.seeds[len(self._accuracies[setting])])
        self.runs.append(run)
        self._waiting.append(run)
        self._reported[run] = set()

    def evaluated(self, run: Run, accuracies: Dict[int, float]) -> bool:
        trial, reported = self._trials[run.setting], self._reported[run]
        total = run.experiment.total_steps
        for step in sorted(step for step in accuracies if step > 0):
            # Runs of other lengths are compared at the same share of the way; later seeds with later seeds.
            percent = 100 * step // total
            if percent not in reported:
                reported.add(percent)
                trial.report(accuracies[step], 100 * self._space.seeds.index(run.seed) + percent)
        return max(accuracies, default=0) < total and bool(trial.should_prune())

    def ended(self, run: Run, state: str, accuracy: float) -> None:
        trial, setting = self._trials[run.setting], run.setting
        if state == FINISHED:
            self._accuracies[setting].append(accuracy)
            if len(self._accuracies[setting]) < len(self._space.seeds):
                if not trial.should_prune():
                    self._start_seed(setting)
                    return
                state = PRUNED
        self._known[setting] = state
        if state == STOPPED:
            return  # the trial stays open, for the next call to go on with
        del self._trials[setting]
        if state == FINISHED:
            accuracies = self._accuracies[setting]
            self._study.tell(trial, sum(accuracies) / len(accuracies))
        else:
            self._study.tell(trial, state=self._states.PRUNED if state == PRUNED else self._states.FAIL)

    def _searched(self) -> List[str]:
        return [flag for flag, values in self._space.varied.items() if not isinstance(values, list) or len(values) > 1]

    def _suggest(self, trial: Any) -> Dict[str, Any]:
        for flag in self._searched():
            values = self._space.varied[flag]
            if isinstance(values, list):
                trial.suggest_categorical(flag, values)
            elif values.whole:
                trial.suggest_int(flag, int(values.low), int(values.high), log=values.log)
            else:
                trial.suggest_float(flag, values.low, values.high, log=values.log)
        return dict(trial.params)

    def _setting(self, params: Dict[str, Any]) -> Optional[Setting]:
        """Returns the setting of a trial's parameters; None if it was killed before it had all of them."""
        if set(params) != set(self._searched()):
            return None
        varied = self._space.varied.items()
        return tuple(
            (flag, params.get(flag, values[0]) if isinstance(values, list) else values.text(params[flag]))
            for flag, values in varied
        )
