"""Paths of files and folders, local ones or remote ones such as gs://bucket/run.

A local name becomes a `pathlib.Path`, without an import of TensorFlow.
"""

import contextlib
import importlib
import os
import shutil
from pathlib import Path
from typing import Any, Optional, Union, cast

from estimator_mnist.system.remote_path import SCHEME, RemotePath
from input_fns import InputError


def path_of(name: str, flag: str = "--model_dir") -> Path:
    """Returns the path of a name, local or with a scheme.

    A RemotePath is typed as a Path: it has every method that this project calls on a model_dir.

    Args:
        name: "runs/a", "~/a", "gs://bucket/a".
        flag: The flag that gave the name.

    Raises:
        InputError: TensorFlow has no file system of this scheme.
    """
    scheme = SCHEME.match(name)
    if not scheme:
        return Path(name).expanduser()
    _check_scheme(scheme[1], name, flag)
    return cast(Path, RemotePath(name))


def is_remote(path: Any) -> bool:
    return isinstance(path, RemotePath)


def _check_scheme(scheme: str, name: str, flag: str) -> None:
    import tensorflow as tf

    if scheme not in tf.io.gfile.get_registered_schemes():
        with contextlib.suppress(ImportError):
            importlib.import_module("tensorflow_io")  # registers s3:// and others, if the user has installed it
    known = [f"{other}://" for other in sorted(tf.io.gfile.get_registered_schemes()) if other]
    if f"{scheme}://" not in known:
        raise InputError(
            f"{flag} {name}: TensorFlow has no file system for {scheme}:// here, only for {', '.join(known)}; name one "
            "of these or a local folder, or, for s3://, az:// and hdfs://: .venv/bin/pip install --no-deps "
            "tensorflow-io==0.36.0"
        )


def rmtree(path: Path, ignore_errors: bool = False) -> None:
    """Deletes a folder and its content.

    Args:
        path: The folder.
        ignore_errors: Locally, ignore every error, as `shutil.rmtree` does. Remotely, ignore only a missing folder.

    Raises:
        OSError: The folder cannot be deleted.
    """
    if not isinstance(path, RemotePath):
        return shutil.rmtree(path, ignore_errors=ignore_errors)
    try:
        path.rmtree()
    except FileNotFoundError:
        if not ignore_errors:
            raise


def copy_tree(source: Path, target: Path, last: Optional[str] = None) -> None:
    """Copies the files of a local or remote folder to a remote one.

    Args:
        source: The folder.
        target: The remote folder.
        last: Name of a file that is copied after all others, because readers take it as the sign of a full copy.
    """
    for path in sorted(source.rglob("*"), key=lambda path: (path.name == last, path)):
        if path.is_file():
            copy = target / str(path)[len(str(source)) + 1 :]
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())


def replace_file(path: Path, content: Union[str, bytes]) -> None:
    """Writes a file atomically: readers, also after a kill, see the old content or the new, never a part of it."""
    new = path.with_name(f"{path.name}.new-{os.getpid()}")
    content = content.encode() if isinstance(content, str) else content
    try:
        if is_remote(path):
            new.write_bytes(content)
        else:
            with open(new, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        new.replace(path)
    finally:
        if new.exists():
            new.unlink()
