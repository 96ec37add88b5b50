"""Folders on other file systems than this machine's: gs://bucket/run and all other schemes that TensorFlow knows.

`path_of` returns what a name names: for a local one a `pathlib.Path`, and TensorFlow is not imported for it.
"""

import contextlib
import errno
import fnmatch
import importlib
import os
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any, Callable, Iterator, NamedTuple, Optional, Union, cast

from input_fns import InputError
from input_fns.errors import reason

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class RemoteError(OSError):
    """A remote file system refused, or did not answer: `strerror` says why, `filename` names what was asked for."""


def path_of(name: str, flag: str = "--model_dir") -> Path:
    """Returns the path of a name, local or with a scheme.

    A RemotePath is handed out as a Path, of which it has all that is done with a model_dir.

    Args:
        name: "runs/a", "~/a", "gs://bucket/a".
        flag: What names it.

    Raises:
        InputError: TensorFlow has no file system of this scheme.
    """
    found = SCHEME.match(name)
    if not found:
        return Path(name).expanduser()
    _check_scheme(found[1], name, flag)
    return cast(Path, RemotePath(name))


def is_remote(path: Any) -> bool:
    return isinstance(path, RemotePath)


def _check_scheme(scheme: str, name: str, flag: str) -> None:
    import tensorflow as tf

    if scheme not in tf.io.gfile.get_registered_schemes():
        with contextlib.suppress(ImportError):
            importlib.import_module("tensorflow_io")  # brings s3:// and others where the user has installed it
    known = [f"{other}://" for other in sorted(tf.io.gfile.get_registered_schemes()) if other]
    if f"{scheme}://" not in known:
        raise InputError(
            f"{flag} {name}: TensorFlow has no file system for {scheme}:// here, only for {', '.join(known)}; name one "
            "of these or a local folder, or, for s3://, az:// and hdfs://: .venv/bin/pip install --no-deps "
            "tensorflow-io==0.36.0"
        )


class Stat(NamedTuple):
    st_size: int  # bytes
    st_mtime: float  # seconds since 1970
    st_mtime_ns: int
    is_directory: bool


class RemotePath:
    """A file or folder behind tf.io.gfile, with what this project uses of `pathlib.Path`.

    Raises (all that looks or writes):
        FileNotFoundError, FileExistsError: As pathlib's.
        RemoteError: Anything else that went wrong.
    """

    def __init__(self, name: str):
        self._scheme, _, path = name.partition("://")
        self._path = PurePosixPath(path)

    def _with(self, path: PurePosixPath) -> "RemotePath":
        return RemotePath(f"{self._scheme}://{path}")

    def __str__(self) -> str:
        return f"{self._scheme}://{self._path if self._path.parts else ''}"

    __fspath__ = __str__

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: "RemotePath") -> bool:
        return str(self) < str(other)

    def __truediv__(self, other: Union[str, "os.PathLike[str]"]) -> "RemotePath":
        return self._with(self._path / other)

    @property
    def name(self) -> str:
        return self._path.name

    @property
    def stem(self) -> str:
        return self._path.stem

    @property
    def parent(self) -> "RemotePath":
        return self._with(self._path.parent)

    def with_name(self, name: str) -> "RemotePath":
        return self._with(self._path.with_name(name))

    def absolute(self) -> "RemotePath":
        return self

    def exists(self) -> bool:
        return self._ask(lambda gfile: gfile.exists(str(self)))

    def is_dir(self) -> bool:
        try:
            return self.stat().is_directory  # gfile.isdir takes a network that is down for "no"
        except FileNotFoundError:
            return False

    def is_file(self) -> bool:
        try:
            return not self.stat().is_directory
        except FileNotFoundError:
            return False

    def is_symlink(self) -> bool:
        return False

    def stat(self) -> Stat:
        found = self._ask(lambda gfile: gfile.stat(str(self)))
        return Stat(found.length, found.mtime_nsec / 1e9, found.mtime_nsec, found.is_directory)

    def iterdir(self) -> Iterator["RemotePath"]:
        try:
            names = self._ask(lambda gfile: gfile.listdir(str(self)))
        except FileNotFoundError as error:  # gfile.listdir takes a network that is down for an empty place, too
            if not self.is_dir():
                raise
            raise RemoteError(errno.EIO, "cannot be listed", str(self)) from error
        # An object store tells a folder by a slash at its end.
        return iter([self / name for name in sorted({name.rstrip("/") for name in names} - {""})])

    def glob(self, pattern: str) -> Iterator["RemotePath"]:
        """Yields what matches a pattern without "**". Folder by folder: TensorFlow's own would take the characters
        * ? [ in this path's name for a pattern, too, and list all that lies below it."""
        first, _, rest = pattern.partition("/")
        try:
            found = [path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, first)]
        except FileNotFoundError:
            return
        for path in found:
            if not rest:
                yield path
            elif path.is_dir():
                yield from path.glob(rest)

    def rglob(self, pattern: str) -> Iterator["RemotePath"]:
        for path in self.iterdir() if self.is_dir() else ():
            if fnmatch.fnmatchcase(path.name, pattern):
                yield path
            yield from path.rglob(pattern)

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        # gfile.makedirs looks for a bucket that is not there for ever; and s3:// does not take a bucket for a folder.
        if parents and len(self._path.parts) > 2 and not self.parent.exists():
            self.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._ask(lambda gfile: gfile.mkdir(str(self)))
        except FileExistsError:
            if not (exist_ok and self.is_dir()):
                raise

    def read_bytes(self) -> bytes:
        def read(gfile: Any) -> bytes:
            with gfile.GFile(str(self), "rb") as file:
                return file.read()

        return self._ask(read)

    def read_text(self) -> str:
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes) -> None:
        def write(gfile: Any) -> None:
            with gfile.GFile(str(self), "wb") as file:
                file.write(content)

        self._ask(write)

    def write_text(self, text: str) -> None:
        self.write_bytes(text.encode())

    def replace(self, target: "RemotePath") -> None:
        self._ask(lambda gfile: gfile.rename(str(self), str(target), overwrite=True))

    def unlink(self, missing_ok: bool = False) -> None:
        with contextlib.suppress(*([FileNotFoundError] if missing_ok else [])):
            self._ask(lambda gfile: gfile.remove(str(self)))

    def rmtree(self) -> None:
        self._ask(lambda gfile: gfile.rmtree(str(self)))

    def _ask(self, ask: Callable[[Any], Any]) -> Any:
        import tensorflow as tf

        try:
            return ask(tf.io.gfile)
        except tf.errors.NotFoundError as error:
            text = words_of(error) if str(error) else os.strerror(errno.ENOENT)
            raise FileNotFoundError(errno.ENOENT, text, str(self)) from error
        except tf.errors.AlreadyExistsError as error:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self)) from error
        except tf.errors.OpError as error:
            raise RemoteError(errno.EIO, words_of(error), str(self)) from error


def words_of(error: BaseException) -> str:
    """Returns what a file system says, in one line: of the JSON that stores answer with only its message."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    message = re.search(r'"message": *"((?:[^"\\]|\\.)*)"', str(error))
    return message[1] if message else reason(error)


def rmtree(path: Path, ignore_errors: bool = False) -> None:
    """As shutil's; of what is remote, only that it is not there is ignored."""
    if not isinstance(path, RemotePath):
        return shutil.rmtree(path, ignore_errors=ignore_errors)
    try:
        path.rmtree()
    except FileNotFoundError:
        if not ignore_errors:
            raise


def copy_tree(source: Path, target: Path, last: Optional[str] = None) -> None:
    """Copies the files of a folder, which may be local, to a remote one; that of the name `last` comes last."""
    for path in sorted(source.rglob("*"), key=lambda path: (path.name == last, path)):
        if path.is_file():
            copy = target / str(path)[len(str(source)) + 1 :]
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
