"""Training from Python: what the command `train` does, for a caller that keeps its process."""

import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Union

import input_fns
from estimator_mnist.api import datasets, notebook_progress, python_settings, turns
from estimator_mnist.api.run import Run
from estimator_mnist.cli import console
from estimator_mnist.config import assembly
from estimator_mnist.config.experiment import FILE_NAME, Experiment
from estimator_mnist.distribute import tf_config
from estimator_mnist.model_dir import prepare, results
from estimator_mnist.system import errors, terminal
from estimator_mnist.system.paths import path_of
from estimator_mnist.system.signals import Interrupts, Stopped
from estimator_mnist.training.progress import Progress
from estimator_mnist.user_code import FOLDER
from input_fns import InputError


def train(
    model: Union[str, Callable[..., Any]] = "conv",
    data: datasets.Source = "mnist",
    *,
    model_dir: "Optional[Union[str, Path]]" = None,
    recipe: str = "default",
    verbose: bool = True,
    clean: bool = False,
    **experiment_fields: Any,
) -> Run:
    """Trains to the end, or resumes, or opens a finished run. Equal to the bit to the command with equal settings.

    Args:
        model: A built-in network, "FILE.py:FUNCTION", or a function of an Experiment that returns layers.
        data: What `estimator_mnist.data` returns, or what it takes as its source.
        model_dir: Where the run lives, local or "gs://...". None: runs/<dataset>-<model>.
        recipe: Sets what is not given.
        verbose: Show what the command prints, and a bar. False: print nothing.
        clean: Start over: delete what a run left in the model_dir.
        experiment_fields: Other fields of Experiment, such as `learning_rate`. `loss`, `metric`, `optimizer` and
            `augment` may be functions or classes.

    Raises:
        InputError: A setting is impossible, or the model_dir holds another experiment or is in use.
        RunError: The run failed.
        KeyboardInterrupt: One interrupt: the step that training has reached is saved. Two: it ended at once.
    """
    started, say = time.time(), terminal.say if verbose else turns.silence
    settings = python_settings.converted({"model": model, "recipe": recipe, **experiment_fields})
    with turns.turn(say, xla=bool(settings.values.get("xla"))):
        found = datasets.for_training(data, settings.values, verbose)
        place = model_dir or assembly.default_model_dir(found.dataset, settings.values["model"])
        folder = path_of(str(place), "model_dir")
        code = assembly.Code(settings.registered, folder / FOLDER)
        experiment = assembly.experiment(found, {**datasets.settings_of(found), **settings.values}, code)
        from estimator_mnist.model import user_functions

        if tf_config.read(experiment.strategy):
            raise InputError(f"strategy {experiment.strategy}: needs several processes; train with the command line")
        if prepare.is_new(folder, clean):
            user_functions.check(experiment)
        with prepare.opened_for(experiment, folder, clean):
            if verbose:
                console.show_data(found, experiment.evaluated_split)
            outcome = results.read(folder)
            if outcome:
                say(f"{folder}: this experiment is finished (clean=True starts it over)")
            else:
                outcome = _train_to_the_end(experiment, found, folder, verbose, started)
        if verbose:
            console.show_results(outcome)
    return Run(folder, experiment, found, verbose)


def _train_to_the_end(
    experiment: Experiment, data: input_fns.Data, model_dir: Path, verbose: bool, started: float
) -> Dict[str, Any]:
    """Returns the content of results.json."""
    from estimator_mnist import pipeline
    from estimator_mnist.model import cpu_parallelism
    from estimator_mnist.model_dir import event_files
    from estimator_mnist.training.job import Job

    progress, stopper = _progress(experiment, verbose), Interrupts()
    cpu_parallelism.limit_threads(experiment)
    difference = cpu_parallelism.difference_in_threads(experiment)
    if difference:
        progress.say(difference)
    try:
        with errors.as_user_error(model_dir / FILE_NAME, data), stopper:
            return pipeline.run(Job(experiment, data, model_dir, stopper, progress), started)[0]
    except Stopped as stopped:  # here the previous signal handlers are restored
        saved = f"stopped after step {stopped.step:,}, which is saved; train again with these settings to resume"
        progress.say(saved)
        raise KeyboardInterrupt(saved) from None
    finally:
        event_files.close_writers(model_dir)


def _progress(experiment: Experiment, verbose: bool) -> Progress:
    if not verbose:
        return Progress()
    return (notebook_progress.NotebookProgress if notebook_progress.is_notebook() else console.TerminalProgress)(
        experiment
    )
