"""The order in which a sweep's runs start, and which settings are pruned before their end."""

from collections import deque
from pathlib import Path
from typing import Any, Callable, Deque, Dict, List, NamedTuple, Optional, Set, Tuple, Type, Union
from urllib.parse import quote

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.sweep import search_space
from estimator_mnist.sweep.search_space import Setting, Space
from input_fns import InputError
from input_fns.errors import reason

STUDY = "study.db"  # Optuna's trials, an SQLite file in the folder of the sweep
# After so many suggestions of settings that were tried already, Optuna is taken to know no others.
MAX_REPEATED_SUGGESTIONS = 100
FINISHED, PRUNED, FAILED, STOPPED = "finished", "pruned", "failed", "stopped"


class Run(NamedTuple):
    """One run of a sweep: a normal run of the main command."""

    setting: Setting
    seed: str
    name: str
    folder: Path  # its model_dir
    flags: Tuple[str, ...]  # of its command line, without --model_dir
    experiment: Experiment


MakeRun = Callable[[Setting, str], Run]  # raises InputError if the setting is impossible


class ListedRuns:
    """A grid or a random search: all runs are known before the first one starts, and none is pruned."""

    judges_evaluations = False  # whether `should_prune` looks at the evaluations of a run
    storage_errors: Tuple[Type[Exception], ...] = ()

    def __init__(self, settings: List[Setting], seeds: List[str], make_run: MakeRun):
        # Each setting runs once before any runs a second time: a sweep that is stopped early has seen all of them.
        self.runs = [make_run(setting, seed) for seed in seeds for setting in settings]
        self.total_runs = len(self.runs)
        self.impossible: Dict[str, str] = {}  # name of a setting's first run -> why the setting is impossible
        self._waiting = deque(self.runs)
        self._settled_runs = 0

    @property
    def settled_runs(self) -> int:
        """How many of the `total_runs` have ended or will never start."""
        return self._settled_runs

    def next_run(self) -> Optional[Run]:
        """Returns the next run to start, None if there is none at present."""
        return self._waiting.popleft() if self._waiting else None

    def should_prune(self, run: Run, scores: Dict[int, float]) -> bool:
        """Records the scores of a run so far, by step, and returns whether to end the run early.

        A score is the value of --best_metric, negated where lower is better.
        """
        return False

    def record_end(self, run: Run, state: str, score: float) -> None:
        """Records how a run ended; `score` counts only if it is FINISHED."""
        self._settled_runs += state != STOPPED


class OptunaSearch:
    """Settings suggested by Optuna's TPE sampler and pruned by its median pruner, both with the library's defaults.

    A trial is a setting. Its seeds run one after another, and the mean of their scores is the trial's value. All
    trials are stored in an SQLite file, so that a killed search resumes with what it knew.
    """

    judges_evaluations = True

    def __init__(self, space: Space, folder: Path, make_run: MakeRun):
        """
        Raises:
            InputError: The file of trials is corrupt or cannot be written.
        """
        import optuna
        from sqlalchemy.exc import SQLAlchemyError

        self.storage_errors: Tuple[Type[Exception], ...] = (optuna.exceptions.OptunaError, SQLAlchemyError)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._states = optuna.trial.TrialState
        self._space, self._make_run = space, make_run
        self.runs: List[Run] = []
        self.impossible: Dict[str, str] = {}
        self.total_runs = (space.samples or 0) * len(space.seeds)
        path = folder.absolute() / STUDY
        try:
            self._study = _open_study(path)
            trials = self._study.get_trials(deepcopy=False)
        except Exception as error:  # of SQLAlchemy, of SQLite and of Optuna
            raise InputError(f"{path}: cannot be used ({reason(error)}); name another --sweep_dir") from error
        # Another seed at each start. With the same one, a resumed search would draw the same settings again.
        self._study.sampler = optuna.samplers.TPESampler(seed=len(trials))
        self._states_of_settings: Dict[Setting, str] = {}
        self._open_trials: Dict[Setting, Any] = {}
        self._scores: Dict[Setting, List[float]] = {}  # of the finished seeds of the open trials
        self._reported_percents: Dict[Run, Set[int]] = {}
        self._waiting: Deque[Run] = deque()
        self._repeats_left = MAX_REPEATED_SUGGESTIONS
        self._resume(trials)

    def _resume(self, trials: List[Any]) -> None:
        """Restores what earlier calls recorded, and puts unfinished and failed settings first in the queue."""
        unfinished: Dict[Setting, Dict[str, Any]] = {}
        for trial in trials:
            setting = self._setting(trial.params) if trial.state != self._states.WAITING else None
            if setting and trial.state in (self._states.COMPLETE, self._states.PRUNED):
                state = FINISHED if trial.state == self._states.COMPLETE else PRUNED
                self._states_of_settings[setting] = state
            elif setting:
                unfinished[setting] = trial.params
            if trial.state == self._states.RUNNING:
                self._study.tell(trial.number, state=self._states.FAIL)
        for setting, params in unfinished.items():
            if setting not in self._states_of_settings:
                self._study.enqueue_trial(params)
        settings = self._states_of_settings
        self.runs = [self._make_run(setting, seed) for setting in settings for seed in self._space.seeds]

    @property
    def settled_runs(self) -> int:
        finished_seeds = {setting: len(self._scores[setting]) for setting in self._open_trials}
        return sum(finished_seeds.get(setting, len(self._space.seeds)) for setting in self._states_of_settings)

    def next_run(self) -> Optional[Run]:
        settings_wanted = self._space.samples or 0
        while not self._waiting and len(self._states_of_settings) < settings_wanted and self._repeats_left:
            trial = self._study.ask()
            setting = self._setting(self._suggest(trial))
            assert setting is not None  # every parameter has just been suggested
            if setting in self._states_of_settings:  # short lists soon repeat a setting, which tells nothing new
                self._repeats_left -= 1
                self._study.tell(trial, state=self._states.FAIL)
                continue
            self._states_of_settings[setting] = STOPPED
            self._open_trials[setting], self._scores[setting] = trial, []
            try:
                self._enqueue_next_seed(setting)
            except InputError as error:
                self.impossible[search_space.run_name(setting, self._space.seeds[0])] = str(error)
                self._study.tell(trial, state=self._states.FAIL)
                del self._open_trials[setting]
        return self._waiting.popleft() if self._waiting else None

    def _enqueue_next_seed(self, setting: Setting) -> None:
        run = self._make_run(setting, self._space.seeds[len(self._scores[setting])])
        self.runs.append(run)
        self._waiting.append(run)
        self._reported_percents[run] = set()

    def should_prune(self, run: Run, scores: Dict[int, float]) -> bool:
        trial, reported = self._open_trials[run.setting], self._reported_percents[run]
        total_steps = run.experiment.total_steps
        for step in sorted(step for step in scores if step > 0):
            # Runs of different lengths are compared at the same percentage, and each seed with the same seed.
            percent = 100 * step // total_steps
            if percent not in reported:
                reported.add(percent)
                trial.report(scores[step], 100 * self._space.seeds.index(run.seed) + percent)
        return max(scores, default=0) < total_steps and bool(trial.should_prune())

    def record_end(self, run: Run, state: str, score: float) -> None:
        trial, setting = self._open_trials[run.setting], run.setting
        if state == FINISHED:
            self._scores[setting].append(score)
            if len(self._scores[setting]) < len(self._space.seeds):
                if not trial.should_prune():
                    self._enqueue_next_seed(setting)
                    return
                state = PRUNED
        self._states_of_settings[setting] = state
        if state == STOPPED:
            return  # the trial stays open, for the next call to resume
        del self._open_trials[setting]
        if state == FINISHED:
            scores = self._scores[setting]
            self._study.tell(trial, sum(scores) / len(scores))
        else:
            self._study.tell(trial, state=self._states.PRUNED if state == PRUNED else self._states.FAIL)

    def _searched_flags(self) -> List[str]:
        return [flag for flag, values in self._space.varied.items() if not isinstance(values, list) or len(values) > 1]

    def _suggest(self, trial: Any) -> Dict[str, Any]:
        for flag in self._searched_flags():
            values = self._space.varied[flag]
            if isinstance(values, list):
                trial.suggest_categorical(flag, values)
            elif values.whole:
                trial.suggest_int(flag, int(values.low), int(values.high), log=values.log)
            else:
                trial.suggest_float(flag, values.low, values.high, log=values.log)
        return dict(trial.params)

    def _setting(self, params: Dict[str, Any]) -> Optional[Setting]:
        """Returns the setting of a trial's parameters; None if the search was killed before it had all of them."""
        if set(params) != set(self._searched_flags()):
            return None
        varied = self._space.varied.items()
        return tuple(
            (flag, params.get(flag, values[0]) if isinstance(values, list) else values.text(params[flag]))
            for flag, values in varied
        )


Search = Union[ListedRuns, OptunaSearch]


def _open_study(path: Path) -> Any:
    """Returns the Optuna study in an SQLite file, which is created if there is none."""
    import optuna
    from sqlalchemy import URL

    # As a URI, so that no character of the path is taken for the end of the path.
    url = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"uri": "true"})
    return optuna.create_study(
        storage=optuna.storages.RDBStorage(url.render_as_string()),
        study_name="sweep",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(),
        load_if_exists=True,
    )
