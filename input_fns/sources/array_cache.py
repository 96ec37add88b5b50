"""Decoded data sets, cached as arrays that readers map into memory. Every source keeps its examples in this one form.

A cache folder holds `train-images.npy`, `train-labels.npy`, `test-images.npy`, `test-labels.npy` and `facts.json`,
which says what they were made from and their checksums. The folder is written beside its place and then renamed, so it
appears complete or not at all. A folder that does not match is ignored and replaced.

A mapped file takes no extra memory: its pages are read from the file when needed, and all processes of a machine share
them. So a data set may be larger than memory. The data of a .npy file begins at a multiple of 64 bytes, so TensorFlow
takes the mapped array over without a copy.
"""

import dataclasses
import json
import os
import zlib
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence, Tuple

import numpy as np

from input_fns.errors import InputError
from input_fns.sources import idx, whole_folder
from input_fns.sources.preparation import preparation_of

FACTS = "facts.json"
FORMAT = 2  # part of the folder's name: a checkout that writes another form keeps its own folder
SPLITS = ("train", "test")
NAMES = tuple(f"{split}-{kind}.npy" for split in SPLITS for kind in ("images", "labels"))
CHUNK = 1 << 20  # bytes read at a time: a file can be larger than memory
Shape = Tuple[int, int, int]  # height, width, channels


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a data set in a cache folder.

    `crc32` is by file name. `idx_crc32` is that of the IDX files that would hold the data, also by file name, and
    `pixels_crc32` that of their arrays one after the other: they depend on the examples alone.
    """

    folder: Path
    examples: Dict[str, int]  # by split
    image_shape: Shape
    class_names: Tuple[str, ...]
    description: str
    preparation: str  # see preparation.py
    crc32: Dict[str, int]
    idx_crc32: Dict[str, int]
    pixels_crc32: int
    made_from: Any

    def file(self, split: str, kind: str) -> Path:
        """Returns the path of the "images" or "labels" of a split."""
        return self.folder / f"{split}-{kind}.npy"


Described = Tuple[Sequence[str], str]  # class names and description


class Writer:
    """The arrays of a new cache folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.arrays: Dict[str, Tuple[np.ndarray, np.ndarray]] = {}  # by split

    def split(self, name: str, examples: int, image_shape: Sequence[int]) -> Tuple[np.ndarray, np.ndarray]:
        """Returns the arrays of a split, mapped from new files and to be filled.

        Called again, it replaces them. The old ones can still be read.

        Args:
            name: "train" or "test".
            examples: At least 1.
            image_shape: Height, width and channels, 1 or 3.

        Returns:
            Images, uint8 [examples, height, width, channels], and labels, int32 [examples]. Both are 0.

        Raises:
            OSError: There is no room for them.
        """
        assert name in SPLITS and examples > 0 and len(image_shape) == 3 and image_shape[2] in (1, 3), image_shape
        images = _new_array(self.folder / f"{name}-images.npy", np.uint8, (examples, *image_shape))
        labels = _new_array(self.folder / f"{name}-labels.npy", np.int32, (examples,))
        self.arrays[name] = images, labels
        return images, labels

    def filled(self) -> None:
        """Takes over the arrays that another process has filled through a writer of the same folder."""
        for name in SPLITS:
            self.arrays[name] = read(self.folder / f"{name}-images.npy"), read(self.folder / f"{name}-labels.npy")


def folder_for(name: str, beside: Optional[Path] = None, variant: Any = None) -> Path:
    """Returns the cache folder of a data set.

    Args:
        name: Of the data set. If it is not unique, `variant` must hold what makes it so, such as a path.
        beside: The folder of the prepared data set. The cache lies in it unless it is read-only, or None; then in
            $XDG_CACHE_HOME, by default ~/.cache.
        variant: JSON value, None for the usual case: what else decides the content, such as the size of the images. Two
            runs at the same time may want one data set in two variants, so each has its own folder.
    """
    ending = "" if variant is None else f"-{zlib.crc32(json.dumps(variant).encode()):08x}"
    if beside is not None:
        # The mode says that the owner wants it unchanged, and root heeds it too: access() lets root write anywhere.
        if beside.stat().st_mode & 0o200 and os.access(beside, os.W_OK):
            return beside / f"estimator_mnist_cache_{FORMAT}{ending}"
        name = f"{name}-{zlib.crc32(os.fsencode(beside.resolve())):08x}"
    name = name.replace("/", "_").replace(":", "_")
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "estimator_mnist" / f"cache_{FORMAT}" / f"{name}{ending}"


def open_or_make(folder: Path, made_from: Any, make: Callable[[Writer], Described]) -> Facts:
    """Returns the facts of the data set in a cache folder, after making it if it is missing, damaged or outdated.

    Args:
        folder: The cache folder, as `folder_for` returns it.
        made_from: JSON value that identifies the original (names, sizes, times). It must equal the stored value.
        make: Fills both splits of the writer, and returns the class names and a description. Called only if needed.

    Raises:
        InputError: The folder cannot be written; and whatever `make` raises.
    """
    made_from = json.loads(json.dumps(made_from))  # tuples become lists, as they come from the file
    return load(folder, made_from) or _make(folder, made_from, make)


def load(folder: Path, made_from: Any) -> Optional[Facts]:
    """Returns the facts of the data set in `folder`, or None if it is missing, damaged or of another original."""
    try:
        stored = json.loads((folder / FACTS).read_text("utf-8"))
        for name in ("image_shape", "class_names"):
            stored[name] = tuple(stored[name])
        facts = Facts(folder=folder, **stored)
        if facts.made_from != made_from or set(facts.crc32) != set(NAMES):
            return None
        damaged = any(_checksum(folder / name) != checksum for name, checksum in facts.crc32.items())
        return None if damaged else facts
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def read(path: Path) -> np.ndarray:
    """Returns the array of a .npy file, mapped read-only.

    Raises:
        OSError, ValueError: There is no such file, or it is damaged.
    """
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def offset(path: Path) -> int:
    """Returns where in a .npy file the data begins, in bytes."""
    with open(path, "rb") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        return file.tell()


def _make(folder: Path, made_from: Any, make: Callable[[Writer], Described]) -> Facts:
    try:
        with whole_folder.replacing(folder) as new:
            writer = Writer(new)
            class_names, description = make(writer)
            facts = _facts(folder, writer, tuple(class_names), description, made_from)
            stored = dataclasses.asdict(facts)
            del stored["folder"]
            (new / FACTS).write_text(json.dumps(stored, indent=1), "utf-8")
    except OSError as error:
        raise InputError(
            f"{folder}: the decoded data cannot be written there ({error.strerror or error}); "
            "name another folder with XDG_CACHE_HOME"
        ) from error
    return facts


def _facts(folder: Path, writer: Writer, class_names: Tuple[str, ...], description: str, made_from: Any) -> Facts:
    train, test = (writer.arrays[split] for split in SPLITS)
    assert train[0].shape[1:] == test[0].shape[1:]
    assert all(labels.min() >= 0 and labels.max() < len(class_names) for _, labels in (train, test))
    idx_crc32, pixels_crc32 = idx.checksums(writer.arrays)
    return Facts(
        folder=folder,
        examples={split: len(writer.arrays[split][1]) for split in SPLITS},
        image_shape=(train[0].shape[1], train[0].shape[2], train[0].shape[3]),
        class_names=class_names,
        description=description,
        preparation=preparation_of(train[0]),
        crc32={name: _checksum(writer.folder / name) for name in NAMES},
        idx_crc32=idx_crc32,
        pixels_crc32=pixels_crc32,
        made_from=made_from,
    )


def _new_array(path: Path, dtype: Any, shape: Tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    path.unlink(missing_ok=True)  # not shortened: an array that still maps it would end the process with SIGBUS
    with open(path, "w+b") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False, "shape": shape}
        )
        # Reserved now: on a full disk, a write to a mapped page would end the process with SIGBUS.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), file.tell(), size)
        else:
            for first in range(0, size, CHUNK):
                file.write(bytes(min(CHUNK, size - first)))
    return np.load(path, mmap_mode="r+")


def _checksum(path: Path) -> int:
    """Returns the CRC-32 of a file, in constant memory."""
    checksum = 0
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
