"""Opening a model_dir: the check that it is new or this experiment's, its lock, and starting it over."""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO, ContextManager, Iterator, List

from estimator_mnist import user_code
from estimator_mnist.config import experiment as experiments
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model_dir import results
from estimator_mnist.system.paths import is_remote, rmtree
from estimator_mnist.system.remote_path import RemoteError
from input_fns import InputError

LOCK = ".lock"
# Everything that a run writes, as patterns: what --clean deletes.
WRITTEN_BY_A_RUN = (
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
    user_code.FOLDER,
)


def is_new(model_dir: Path, clean: bool) -> bool:
    """Tells whether a run begins in a model_dir, or starts over, and does not resume.

    Raises:
        InputError: A remote folder does not answer.
    """
    try:
        return clean or not (model_dir / experiments.FILE_NAME).exists()
    except RemoteError as error:
        raise _unusable(model_dir, "--model_dir", error) from error


@contextlib.contextmanager
def opened_for(experiment: Experiment, model_dir: Path, clean: bool) -> Iterator[None]:
    """A context in which a model_dir is locked and holds this experiment.

    Args:
        experiment: The experiment to run.
        model_dir: The folder. It is created if it does not exist.
        clean: Delete what an earlier run left there.

    Raises:
        InputError: The folder cannot be written, is in use, or holds another experiment or files of no run.
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
            user_code.copy_to(model_dir / user_code.FOLDER, experiment.user_code)
        except OSError as error:
            raise _unusable(model_dir, "--model_dir", error) from error
        yield


@contextlib.contextmanager
def in_use(model_dir: Path, flag: str = "--model_dir") -> Iterator[None]:
    """A context in which no other process uses a folder.

    Remote folders have no locks: there the user must start one run only.

    Args:
        model_dir: The folder.
        flag: The flag that names it.

    Raises:
        InputError: Another process uses the folder, or it cannot be written.
    """
    try:
        lock: ContextManager = contextlib.nullcontext() if is_remote(model_dir) else _lock(model_dir, flag)
    except OSError as error:
        raise _unusable(model_dir, flag, error) from error
    with lock:
        yield


def stored_experiment(model_dir: Path, flag: str = "--model_dir") -> Experiment:
    """Returns the experiment that a model_dir holds.

    Args:
        model_dir: The folder.
        flag: The flag that names it.

    Raises:
        InputError: It holds no experiment, or cannot be read.
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
    if not is_remote(model_dir):  # only a write shows whether a bucket is writable
        _check_can_be_created(model_dir)
    elif model_dir.is_file():
        raise InputError(f"--model_dir {model_dir}: is a file, not a folder")
    is_run = (model_dir / experiments.FILE_NAME).exists() or not model_dir.exists()
    if not is_run and any(path.name != LOCK for path in model_dir.iterdir()):
        hint = "; not deleted" if clean else "; name another folder"
        raise InputError(f"--model_dir {model_dir}: is not empty and holds no {experiments.FILE_NAME}{hint}")


def _check_can_be_created(model_dir: Path) -> None:
    nearest = model_dir.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir():
        raise InputError(f"--model_dir {model_dir}: {nearest} is a file, not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise InputError(f"--model_dir {model_dir}: {nearest} cannot be written to")


def _lock(model_dir: Path, flag: str) -> IO[str]:
    """Returns the open file that holds the lock. The system releases it when this process ends, even by SIGKILL."""
    lock = open(model_dir / LOCK, "a+")  # noqa: SIM115  open as long as the run lasts
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read().strip()
        lock.close()
        raise InputError(
            f"{flag} {model_dir}: is in use by process {owner}; wait until it ends, or name another folder"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def _clean(model_dir: Path) -> None:
    """Deletes what a run wrote and nothing else."""
    paths: List[Path] = [path for pattern in WRITTEN_BY_A_RUN for path in model_dir.glob(pattern)]
    # experiment.json goes last: if a kill prevents that, the folder is still recognised as a model_dir.
    for path in reversed(paths):
        if path.is_dir() and not path.is_symlink():
            rmtree(path)
        else:
            path.unlink()
