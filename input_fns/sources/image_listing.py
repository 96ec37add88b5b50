"""The files of a folder of images, by split and class, in an order that is independent of the file system's.

Only one class's files are in memory at a time: a folder may hold tens of millions.
"""

import hashlib
import os
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Dict, Generator, Iterator, List, Optional, Tuple

from input_fns.errors import InputError
from input_fns.sources.image_files import SUFFIXES

# What operating systems and network drives leave in folders, beside files whose names begin with a dot.
LEFT_BY_SYSTEMS = {"Thumbs.db", "ehthumbs.db", "desktop.ini", "__MACOSX", "@eaDir", "lost+found"}
Count = Callable[[int], object]  # called with a number of files that have been listed


@dataclass(frozen=True)
class ClassFolder:
    """The images of a class in a split."""

    split: str  # "train" or "test"
    label: int
    folder: str
    count: int
    digest: str  # of the names, sizes and times of its files


@dataclass(frozen=True)
class Listing:
    """What a folder of images holds."""

    folder: Path
    class_names: Tuple[str, ...]  # sorted
    class_folders: Tuple[ClassFolder, ...]  # by split, then by class. Without "test", a test split is to be cut off
    ignored: Tuple[str, ...]  # folders beside train and test

    @property
    def has_test(self) -> bool:
        return any(one.split == "test" for one in self.class_folders)

    @property
    def digest(self) -> str:
        """Changes if a file or a folder is added, removed, renamed or changed."""
        parts = [(one.split, self.class_names[one.label], one.count, one.digest) for one in self.class_folders]
        return hashlib.blake2b(repr(parts).encode("utf-8"), digest_size=16).hexdigest()

    def paths(self) -> Generator[str, None, None]:
        """Yields the path of every image, class by class.

        Raises:
            InputError: The folder has changed since it was listed.
        """
        for one in self.class_folders:
            files = _files(one.folder)
            if _digest(files) != one.digest:
                raise InputError(f"{one.folder}: its files changed while they were read; wait until all are there")
            for file in files:
                yield os.path.join(one.folder, os.fsdecode(file.partition(b"\0")[0]))


def listed(folder: Path, count: Count) -> Listing:
    """Lists `folder`/train/CLASS/* and `folder`/test/CLASS/*, or `folder`/CLASS/*.

    Subfolders of a class belong to it. Hidden files and those that operating systems leave are ignored.

    Args:
        folder: The folder.
        count: Called with the number of files of each class.

    Raises:
        InputError: There is no such folder, it cannot be read, or it holds anything that is neither.
    """
    if not folder.is_dir():
        why = "is a file" if folder.exists() else "does not exist"
        raise InputError(f"--image_dir {folder}: {why}; it must be a folder that holds a folder of images a class")
    folders, ignored = _split_folders(folder)
    classes = {split: _classes(path) for split, path in folders.items()}
    class_names = tuple(sorted(classes["train"]))
    if not class_names:
        raise InputError(f"--image_dir {folders['train']}: holds no folder; it must hold a folder of images a class")
    for name in sorted(classes.get("test", {})):
        if name not in classes["train"]:
            text = f"the class has no folder in {folders['train']}"
            raise InputError(f"{classes['test'][name]}: {text}; add one with images to train on, or remove this one")
    class_folders = []
    for split, by_name in classes.items():
        for label, name in enumerate(class_names):
            if name in by_name:
                files = _files(by_name[name])
                class_folders.append(ClassFolder(split, label, by_name[name], len(files), _digest(files)))
                count(len(files))
    for one in class_folders:
        if not one.count:
            raise InputError(f"{one.folder}: the class's folder holds no images; add some or remove it")
    if "test" in classes and not classes["test"]:
        raise InputError(f"{folders['test']}: holds no folder; add a folder of images a class or remove it")
    return Listing(folder, class_names, tuple(class_folders), ignored)


def _split_folders(folder: Path) -> Tuple[Dict[str, str], Tuple[str, ...]]:
    """Returns the folders of the splits, and the names of other folders beside them."""
    there = {entry.name: entry.path for entry in _entries(str(folder)) if entry.is_dir()}
    others = tuple(name for name in sorted(there) if name not in ("train", "test"))
    # A class may be called train, too. Its folder holds images.
    is_split = {
        name: name in there and any(entry.is_dir() for entry in _entries(there[name])) for name in ("train", "test")
    }
    if is_split["test"] and "train" not in there:
        raise InputError(f"--image_dir {folder}: holds test but no train; add train with a folder a class")
    if not is_split["train"]:
        if "train" in there and ("test" in there or not others):
            raise InputError(f"{there['train']}: holds no folder; it must hold a folder of images a class")
        return {"train": str(folder)}, ()
    if "test" in there:
        return {name: there[name] for name in ("train", "test")}, others
    if others:
        text = f"holds train beside {', '.join(others[:3])}, but no test"
        raise InputError(f"--image_dir {folder}: {text}; name the folder with the images for the test test")
    return {"train": there["train"]}, ()


def _classes(folder: str) -> Dict[str, str]:
    """Returns {class name: path of its folder}."""
    classes: Dict[str, str] = {}
    for entry in _entries(folder):
        if entry.is_dir():
            # macOS decomposes accents in file names: a folder copied from there must name the same class.
            name = unicodedata.normalize("NFC", entry.name)
            if name in classes:
                raise InputError(f"{entry.path}: its name and that of {classes[name]} differ only in their encoding")
            if any(unicodedata.category(char) in ("Cc", "Cs") for char in name):  # control characters, or not UTF-8
                raise InputError(f"{entry.path}: its name has characters that cannot be printed; rename the folder")
            classes[name] = entry.path
        elif entry.name.lower().endswith(SUFFIXES):
            raise InputError(f"{entry.path}: lies beside the folders of classes; move it into one of them")
    return classes


def _files(folder: str, below: str = "") -> List[bytes]:
    """Returns name, size in bytes and time of change of each file of a class, separated by zeros and sorted."""
    files = []
    for entry in _entries(os.path.join(folder, below) if below else folder):
        name = os.path.join(below, entry.name)
        if entry.is_dir():
            if entry.is_symlink():  # links could form a cycle
                raise InputError(f"{entry.path}: is a link to a folder; copy the folder to this place, or remove it")
            files += _files(folder, name)
        elif not entry.name.lower().endswith(SUFFIXES):
            kinds = ", ".join(SUFFIXES)
            raise InputError(f"{entry.path}: is no image file ({kinds}); convert it or move it out of the class")
        else:
            status = _status(entry)
            files.append(os.fsencode(f"{name}\0{status.st_size}\0{status.st_mtime_ns}"))
    if not below:
        files.sort()
    return files


def _digest(files: List[bytes]) -> str:
    return hashlib.blake2b(b"\n".join(files), digest_size=16).hexdigest()


def _entries(folder: str) -> Iterator["os.DirEntry[str]"]:
    """Yields what a folder shows, in no order.

    Raises:
        InputError: It cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if not entry.name.startswith(".") and entry.name not in LEFT_BY_SYSTEMS:
                    yield entry
    except OSError as error:
        raise InputError(f"{folder}: the folder cannot be read ({error.strerror or error})") from error


def _status(entry: "os.DirEntry[str]") -> os.stat_result:
    why: Optional[str] = None
    try:
        status = entry.stat()
        if not stat.S_ISREG(status.st_mode):
            why = "is not a regular file"
    except OSError as error:
        why = f"cannot be read ({error.strerror or error})"
    if why:
        raise InputError(f"{entry.path}: {why}; repair or remove it")
    return status
