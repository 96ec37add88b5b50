"""Decoded data sets, kept as IDX files so that the next run need not decode them again.

A cache folder holds the four IDX files and `facts.json` with what they were made from and their checksums. It appears
whole or not at all (it is made beside its place and then renamed), and one that does not fit is ignored and replaced.
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
    """Returns where to keep a decoded data set: beside the prepared one or, if that is read-only, in ~/.cache."""
    if beside is not None:
        # The mode says what the owner wants kept as it is, also to root, whom access() lets write anywhere.
        if beside.stat().st_mode & 0o200 and os.access(beside, os.W_OK):
            return beside / "estimator_mnist_cache"
        name = f"{name}-{zlib.crc32(str(beside.resolve()).encode()):08x}"
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "estimator_mnist" / name


def load(folder: Path, made_from: Any) -> Optional[Dict[str, Any]]:
    """Returns the facts of the data set in `folder`, or None if it is missing, damaged or made from something else.

    Args:
        folder: The cache folder.
        made_from: JSON value that identifies the original (names, sizes, times); it must equal the stored one.
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
        folder: The cache folder; an older one is replaced.
        made_from: JSON value that identifies the original.
        splits: {"train": {"images": uint8 [n, 28, 28], "labels": uint8 [n]}, "test": ...}
        **facts: Further JSON values to keep.

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
            f"{folder}: the decoded data cannot be kept there ({error.strerror or error}); "
            "name another place with XDG_CACHE_HOME"
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
        if not (folder / FACTS).is_file():  # else another process was faster: the same bytes lie there
            raise
    shutil.rmtree(old, ignore_errors=True)
