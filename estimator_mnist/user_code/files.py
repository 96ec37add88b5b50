"""The contents of user files, by their SHA-256, and their copies in a model_dir."""

import hashlib
from pathlib import Path
from typing import Dict, Mapping, Union

from estimator_mnist.system.paths import replace_file
from input_fns import InputError

FOLDER = "user_code"  # in a model_dir
MAX_BYTES = 16 * 2**20
# By SHA-256: the content, or where a copy of it can be read. Reading a copy waits until something calls a function of
# it, so that a run can be described without running its code.
_known: Dict[str, Union[bytes, Path]] = {}


def register(content: bytes) -> str:
    """Makes the content of a user file known to this process and returns its SHA-256."""
    digest = sha256(content)
    _known[digest] = content
    return digest


def register_file(path: Path, flag: str) -> str:
    """Makes a user file known to this process and returns its SHA-256.

    Args:
        path: The file.
        flag: The flag that names it.

    Raises:
        InputError: It cannot be read.
    """
    return register(_read(path, f"{flag} {path}: "))


def know_copies(folder: Path, digests: Mapping[str, str]) -> None:
    """Tells this process where copies of user files are. Does not read them.

    Args:
        folder: With the copies.
        digests: SHA-256 by file name.
    """
    for name, digest in digests.items():
        if not isinstance(_known.get(digest), bytes):
            _known[digest] = folder / name


def content_of(name: str, digest: str) -> bytes:
    """Returns the content of a user file.

    Args:
        name: Its name, for messages.
        digest: Its SHA-256.

    Raises:
        InputError: Its copy is gone or was edited, or no copy is known.
    """
    known = _known.get(digest)
    if known is None:
        raise InputError(f"{name}: its code is not known; name the file that the run began with")
    if isinstance(known, bytes):
        return known
    content = _read(known, f"{known}: the run's copy of {name} ")
    _check(known, content, digest)
    return content


def copy_to(folder: Path, digests: Mapping[str, str]) -> None:
    """Writes copies of user files to a folder, where they are missing.

    Raises:
        InputError: A copy is there and was edited.
        OSError: It cannot be written.
    """
    for name, digest in digests.items():
        path = folder / name
        if path.is_file():
            _check(path, path.read_bytes(), digest)
        else:
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, content_of(name, digest))


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check(path: Path, content: bytes, digest: str) -> None:
    if sha256(content) != digest:
        raise InputError(
            f"{path}: was edited since the run began (its SHA-256 is {sha256(content)[:12]}..., not {digest[:12]}...); "
            "restore it, or start over with --clean"
        )


def _read(path: Path, prefix: str) -> bytes:
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= MAX_BYTES else b""
    except OSError as error:
        raise InputError(f"{prefix}cannot be read ({error.strerror or error}); name a Python file") from error
    if size > MAX_BYTES:
        raise InputError(f"{prefix}is larger than {MAX_BYTES:,} bytes; name a Python file")
    return content
