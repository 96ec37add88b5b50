"""A model_dir before the run: whether it is new, the same experiment's, or another's, and starting it over."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO, ContextManager, Iterator, List

from estimator_mnist.config import experiment as experiments
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model_dir import results
from estimator_mnist.system.paths import is_remote, rmtree
from estimator_mnist.system.remote_path import RemoteError
from input_fns import InputError

LOCK = ".lock"
# All that a run leaves: what --clean deletes, and by which a folder is known as a model_dir.
LEFT_BY_A_RUN = (
    experiments.FILE_NAME,
    results.FILE_NAME,
    "checkpoint",
    "graph.pbtxt*",
    "model.ckpt-*",
    "events.out.tfevents.*",
    "eval_test",
    "eval_validation",
    "best",
    "export",
    "plots",
    "predictions.npz",
    "profile",
    "projector",
    "projector_config.pbtxt",
    "report.html",
)


@contextlib.contextmanager
def opened_for(experiment: Experiment, model_dir: Path, clean: bool) -> Iterator[None]:
    """A context in which model_dir is this experiment's and no other process's.

    Args:
        experiment: What is to run there.
        model_dir: The folder; created, or checked that what it holds belongs to this experiment.
        clean: Delete what an earlier run left there.

    Raises:
        InputError: It cannot be written, is in use, holds another experiment, or something that is no run.
    """
    try:
        _check_place(model_dir, clean)
        model_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(model_dir, "--model_dir", error) from error
    with in_use(model_dir):
        try:
            if clean:
                _clean(model_dir)
            stored = Experiment.read(model_dir)
            differences = experiment.differences(stored) if stored else []
            if differences:
                raise InputError(
                    f"--model_dir {model_dir}: holds another experiment: {'; '.join(differences)}; "
                    "use its flags, another --model_dir, or --clean"
                )
            if stored != experiment:
                experiment.write(model_dir)
        except OSError as error:
            raise _unusable(model_dir, "--model_dir", error) from error
        yield


@contextlib.contextmanager
def in_use(model_dir: Path, flag: str = "--model_dir") -> Iterator[None]:
    """A context in which a folder, which a flag names, is no other process's.

    A remote folder knows no locks: there it is for the user to start one run only.

    Raises:
        InputError: It is another's, or cannot be written.
    """
    try:
        lock: ContextManager = contextlib.nullcontext() if is_remote(model_dir) else _lock(model_dir, flag)
    except OSError as error:
        raise _unusable(model_dir, flag, error) from error
    with lock:
        yield


def stored_experiment(model_dir: Path, flag: str = "--model_dir") -> Experiment:
    """Returns the experiment of a model_dir, which a flag names.

    Raises:
        InputError: It holds none.
    """
    try:
        stored = Experiment.read(model_dir)
    except RemoteError as error:
        raise _unusable(model_dir, flag, error) from error
    if stored is None:
        raise InputError(f"{flag} {model_dir}: holds no experiment; train one first, or name its folder")
    return stored


def _unusable(model_dir: Path, flag: str, error: OSError) -> InputError:
    hint = "; name a place that answers and that you may read and write" if is_remote(model_dir) else ""
    return InputError(f"{flag} {model_dir}: cannot be used ({error.strerror or error}){hint}")


def _check_place(model_dir: Path, clean: bool) -> None:
    if not is_remote(model_dir):  # a bucket says whether it can be written to when it is
        _check_can_be_made(model_dir)
    elif model_dir.is_file():
        raise InputError(f"--model_dir {model_dir}: is a file, not a folder")
    is_run = (model_dir / experiments.FILE_NAME).exists() or not model_dir.exists()
    if not is_run and any(path.name != LOCK for path in model_dir.iterdir()):
        hint = "; not deleted" if clean else "; name another folder"
        raise InputError(f"--model_dir {model_dir}: is not empty and holds no {experiments.FILE_NAME}{hint}")


def _check_can_be_made(model_dir: Path) -> None:
    nearest = model_dir.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise InputError(f"--model_dir {model_dir}: {nearest} is a file, not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"--model_dir {model_dir}: {nearest} cannot be written to")


def _lock(model_dir: Path, flag: str) -> IO[str]:
    """Returns the open file that holds the lock: it is gone when this process is, however that ends."""
    lock = open(model_dir / LOCK, "a+")  # noqa: SIM115  open for as long as the run lasts
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        raise InputError(
            f"{flag} {model_dir}: is in use by process {owner}; wait for its end, or name another folder"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _clean(model_dir: Path) -> None:
    """Deletes what a run left and nothing else."""
    found: List[Path] = [path for pattern in LEFT_BY_A_RUN for path in model_dir.glob(pattern)]
    # experiment.json goes last: killed before that, the folder is still known as a model_dir.
    for path in reversed(found):
        if path.is_dir() and not path.is_symlink():
            rmtree(path)
        else:
            path.unlink()
