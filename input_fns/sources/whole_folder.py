"""A folder that appears complete or not at all, whatever ends the process that writes it."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Iterator


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Yields a new folder to fill, which then takes the place of `folder`. If anything is raised, it is deleted.

    What an earlier process left there when it was killed is deleted, too.

    Raises:
        OSError: It cannot be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{folder.name}.new-"
    for path in folder.parent.iterdir():
        if path.name.startswith(prefix):
            _delete_if_abandoned(path)
    new, lock = _locked_folder(prefix, folder.parent)
    try:
        yield new
        for path in new.iterdir():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
        _put_in_place(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
        os.close(lock)


def _locked_folder(prefix: str, parent: Path) -> "tuple[Path, int]":
    """Returns a new folder, and a descriptor of it that holds its lock until it is closed."""
    while True:
        new = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        lock = os.open(new, os.O_RDONLY)
        with contextlib.suppress(OSError):  # a file system without locks: then nothing there is taken for abandoned
            fcntl.flock(lock, fcntl.LOCK_EX)
        if new.exists():  # otherwise another process took it for abandoned before it was locked
            return new, lock
        os.close(lock)


def _delete_if_abandoned(path: Path) -> None:
    with contextlib.suppress(OSError):
        lock = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the process that writes it holds the lock
            shutil.rmtree(path)
        finally:
            os.close(lock)


def _put_in_place(new: Path, folder: Path) -> None:
    old = Path(f"{new}.old")
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, old)
    try:
        os.rename(new, folder)
    except OSError:
        if not folder.is_dir():  # otherwise another process was faster, and wrote the same
            raise
    shutil.rmtree(old, ignore_errors=True)
