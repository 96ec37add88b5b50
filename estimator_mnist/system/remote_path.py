"""RemotePath: a file or folder of another file system than this machine's, as TensorFlow reaches it by its scheme."""

import contextlib
import errno
import fnmatch
import os
import re
from pathlib import PurePosixPath
from typing import Any, Callable, Iterator, NamedTuple, Union

from input_fns.errors import reason

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")


class RemoteError(OSError):
    """A remote file system refused or did not answer: `strerror` says why, `filename` names the file."""


class Stat(NamedTuple):
    st_size: int  # bytes
    st_mtime: float  # seconds since 1970
    st_mtime_ns: int
    is_directory: bool


class RemotePath:
    """A file or folder behind tf.io.gfile, with the methods of `pathlib.Path` that this project uses.

    Raises (every method that reads or writes):
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
            return self.stat().is_directory  # gfile.isdir answers "no" when the network is down
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
        stat = self._ask(lambda gfile: gfile.stat(str(self)))
        return Stat(stat.length, stat.mtime_nsec / 1e9, stat.mtime_nsec, stat.is_directory)

    def iterdir(self) -> Iterator["RemotePath"]:
        try:
            names = self._ask(lambda gfile: gfile.listdir(str(self)))
        except FileNotFoundError as error:  # gfile.listdir also reports a missing folder when the network is down
            if not self.is_dir():
                raise
            raise RemoteError(errno.EIO, "cannot be listed", str(self)) from error
        # Object stores mark a folder by a trailing slash.
        return iter([self / name for name in sorted({name.rstrip("/") for name in names} - {""})])

    def glob(self, pattern: str) -> Iterator["RemotePath"]:
        """Yields the paths that match a pattern without "**".

        Lists folder by folder: TensorFlow's own glob reads * ? [ in this path's name as a pattern, too, and lists
        everything below it.
        """
        first, _, rest = pattern.partition("/")
        try:
            matches = [path for path in self.iterdir() if fnmatch.fnmatchcase(path.name, first)]
        except FileNotFoundError:
            return
        for path in matches:
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
        # gfile.makedirs retries for ever on a missing bucket, and s3:// does not accept a bucket as a folder.
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
            text = message_of(error) if str(error) else os.strerror(errno.ENOENT)
            raise FileNotFoundError(errno.ENOENT, text, str(self)) from error
        except tf.errors.AlreadyExistsError as error:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self)) from error
        except tf.errors.OpError as error:
            raise RemoteError(errno.EIO, message_of(error), str(self)) from error


def message_of(error: BaseException) -> str:
    """Returns the message of a file system's error in one line. Of the JSON that stores answer with, its message."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    message = re.search(r'"message": *"((?:[^"\\]|\\.)*)"', str(error))
    return message[1] if message else reason(error)
