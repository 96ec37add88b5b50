"""Decoded data sets, cached as IDX files so that the next run need not decode them again.

A cache folder holds the four IDX files and `facts.json`, which names what they were made from and their checksums.
The folder is written beside its place and then renamed, so it appears complete or not at all. A folder that does not
match is ignored and replaced.
"""

import contextlib
import json
import os
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any, Dict, Optional

import numpy as np

from input_fns.errors import InputError
from input_fns.sources import idx

FACTS = "facts.json"


def folder_for(name: str, beside: Optional[Path] = None) -> Path:
    """Returns the cache folder of a decoded data set.

    Args:
        name: Of the data set.
        beside: The folder of the prepared data set. The cache lies in it unless it is read-only, or None; then in
            $XDG_CACHE_HOME, by default ~/.cache.
    """
    if beside is not None:
        # The mode says that the owner wants it unchanged, and root heeds it too: access() lets root write anywhere.
        if beside.stat().st_mode & 0o200 and os.access(beside, os.W_OK):
            return beside / "estimator_mnist_cache"
        name = f"{name}-{zlib.crc32(str(beside.resolve()).encode()):08x}"
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "estimator_mnist" / name


def load(folder: Path, made_from: Any) -> Optional[Dict[str, Any]]:
    """Returns the facts of the data set in `folder`, or None if it is missing, damaged or of another original.

    Args:
        folder: The cache folder.
        made_from: JSON value that identifies the original (names, sizes, times). It must equal the stored value.
    """
    try:
        facts = json.loads((folder / FACTS).read_text())
        if facts["made_from"] != made_from:
            return None
        for name, checksum in facts["crc32"].items():
            if idx.checksum_of(folder / name) != checksum:
                return None
        return facts if set(facts["crc32"]) == set(idx.FILE_NAMES.values()) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def store(folder: Path, made_from: Any, splits: Dict[str, Dict[str, np.ndarray]], **facts: Any) -> Dict[str, Any]:
    """Writes a data set and returns its facts, as `load` would.

    Args:
        folder: The cache folder. An older one is replaced.
        made_from: JSON value that identifies the original.
        splits: {"train": {"images": uint8 [n, height, width], "labels": uint8 [n]}, "test": ...}
        **facts: Further JSON values to store.

    Raises:
        InputError: The folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(prefix=folder.name + ".new-", dir=folder.parent))
        try:
            facts = {"made_from": made_from, "crc32": {}, **facts}
            for (split, kind), name in idx.FILE_NAMES.items():
                data = idx.to_bytes(splits[split][kind])
                facts["crc32"][name] = zlib.crc32(data)
                _write(new / name, data)
            _write(new / FACTS, json.dumps(facts, indent=1).encode())
            _put_in_place(new, folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    except OSError as error:
        raise InputError(
            f"{folder}: the decoded data cannot be written there ({error.strerror or error}); "
            "name another folder with XDG_CACHE_HOME"
        ) from error
    return facts


def _write(path: Path, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(new: Path, folder: Path) -> None:
    old = Path(f"{new}.old")
    with contextlib.suppress(FileNotFoundError):
        os.rename(folder, old)
    try:
        os.rename(new, folder)
    except OSError:
        if not (folder / FACTS).is_file():  # otherwise another process was faster, and wrote the same bytes
            raise
    shutil.rmtree(old, ignore_errors=True)
