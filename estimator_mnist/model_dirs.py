"""A model_dir before the run: whether it is new, the same experiment's, or another's, and starting it over."""

import os
import shutil
from pathlib import Path
from typing import List

from estimator_mnist import experiment as experiments
from estimator_mnist import results
from estimator_mnist.experiment import Experiment
from input_fns import InputError

# All that a run leaves: what --clean deletes, and by which a folder is known as a model_dir.
LEFT_BY_A_RUN = (
    experiments.FILE_NAME,
    results.FILE_NAME,
    "checkpoint",
    "graph.pbtxt",
    "model.ckpt-*",
    "events.out.tfevents.*",
    "eval_test",
    "export",
    "plots",
    "report.html",
)


def open_for(experiment: Experiment, model_dir: Path, clean: bool) -> None:
    """Makes model_dir the experiment's: creates it, or checks that what it holds belongs to this experiment.

    Args:
        experiment: What is to run there.
        model_dir: The folder.
        clean: Delete what an earlier run left there.

    Raises:
        InputError: It cannot be written, holds another experiment, or something that is no run.
    """
    try:
        _check_place(model_dir)
        cleaned = clean and model_dir.is_dir() and _clean(model_dir)
        stored = Experiment.read(model_dir)
        if stored is None and not cleaned and model_dir.is_dir() and any(model_dir.iterdir()):
            raise InputError(f"--model_dir {model_dir}: is not empty and holds no experiment; name another folder")
        differences = experiment.differences(stored) if stored else []
        if differences:
            raise InputError(
                f"--model_dir {model_dir}: holds another experiment: {'; '.join(differences)}; "
                "use its flags, another --model_dir, or --clean"
            )
        model_dir.mkdir(parents=True, exist_ok=True)
        if stored != experiment:
            experiment.write(model_dir)
    except OSError as error:
        raise InputError(f"--model_dir {model_dir}: cannot be used ({error.strerror or error})") from error


def stored_experiment(model_dir: Path) -> Experiment:
    """Returns the experiment of a model_dir.

    Raises:
        InputError: It holds none.
    """
    stored = Experiment.read(model_dir)
    if stored is None:
        raise InputError(f"--model_dir {model_dir}: holds no experiment; train one first, or name its folder")
    return stored


def _check_place(model_dir: Path) -> None:
    nearest = model_dir.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise InputError(f"--model_dir {model_dir}: {nearest} is a file, not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"--model_dir {model_dir}: {nearest} cannot be written to")


def _clean(model_dir: Path) -> bool:
    """Deletes what a run left and nothing else; returns whether there was a run."""
    if not any(model_dir.iterdir()):
        return False
    if not (model_dir / experiments.FILE_NAME).exists():
        raise InputError(f"--clean: {model_dir} holds no {experiments.FILE_NAME}, so it is no model_dir; not deleted")
    found: List[Path] = [path for pattern in LEFT_BY_A_RUN for path in model_dir.glob(pattern)]
    # experiment.json goes last: killed before that, the folder is still known as a model_dir.
    for path in reversed(found):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    return True
