"""Arrays of images and labels, of an .npz file or in memory, to a data set in the cache."""

import contextlib
import dataclasses
import hashlib
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Callable, Iterator, Optional, Sequence, Tuple

import numpy as np

from input_fns.errors import InputError, reason
from input_fns.sources import array_cache, resizing, stratified
from input_fns.sources.array_checks import Examples, checked, checked_names, class_names_of
from input_fns.sources.request import Request

VERSION = 1  # of how arrays become a data set: another one makes cached data anew
BLOCK = 4096  # images copied at a time
NAMES = "x_train, y_train, and x_test, y_test if there is a test split"

Size = Optional[Tuple[int, int]]


def decoded(request: Request, say: Callable[[str], None]) -> array_cache.Facts:
    """Returns the facts of the data set that an .npz file makes, or of one that `from_memory` has made.

    The file holds arrays as Keras's mnist.npz does: x_train, uint8 [n, height, width] or [n, height, width, 1 or 3],
    y_train, integers [n] or [n, 1], and x_test and y_test likewise. Without the last two a test split is cut off; see
    `stratified`. An array `class_names` of text is optional.

    Args:
        request: With `arrays`, `image_size`, `test_fraction` and `class_names`.
        say: Called with one line about what is read.

    Raises:
        InputError: There is no such file, it lacks an array, or one has another dtype, shape or content than it should.
    """
    path = request.place("arrays")
    if path.is_dir():
        return _made_before(path, request)
    flag = f"--arrays {path}"
    with _opened(path, flag) as arrays:
        _check_there(arrays.files, flag)
        has_test = "x_test" in arrays.files
    variant = [request.size, None if has_test else request.test_fraction, request.class_names]
    status = path.stat()
    made_from = [VERSION, status.st_size, status.st_mtime_ns, variant]

    def make(writer: array_cache.Writer) -> array_cache.Described:
        say(f"Reading the arrays of {path}")
        with _opened(path, flag) as arrays:
            train = _examples(arrays, "train", flag)
            test = _examples(arrays, "test", flag) if has_test else None
            names = request.class_names
            if names is None and "class_names" in arrays.files:
                names = checked_names(_member(arrays, "class_names", flag), f"{flag}: class_names")
        class_names = _write(writer, train, test, names, request.test_fraction, request.size)
        return class_names, f"{request.name}: the arrays of {path}"

    cache = array_cache.folder_for(f"arrays-{request.name}", variant=[str(path.resolve()), *variant])
    return array_cache.open_or_make(cache, made_from, make)


def from_memory(
    train: Sequence[Any],
    test: Optional[Sequence[Any]] = None,
    class_names: Optional[Sequence[str]] = None,
    test_fraction: float = 0.2,
    size: Size = None,
) -> array_cache.Facts:
    """Returns the facts of the data set that arrays in memory make.

    The data lies in a cache folder named after its content. That folder is a value of `Request.arrays`, so that another
    process finds the data.

    Args:
        train: Images and labels, (x, y): see `decoded` for their dtypes and shapes.
        test: Likewise. None cuts a test split off.
        class_names: One for each label from 0 on. None takes the labels.
        test_fraction: The part of each class that is cut off.
        size: Height and width to which images are resized.

    Raises:
        InputError: As `decoded`.
    """
    training = checked(*_pair(train, "training"), "the training images", "the training labels")
    testing = None if test is None else checked(*_pair(test, "test"), "the test images", "the test labels")
    names = None if class_names is None else checked_names(np.asarray(class_names), "class_names")
    variant = [VERSION, names, None if testing else test_fraction, size]
    content = hashlib.blake2b(repr(variant).encode("utf-8", "surrogateescape"), digest_size=16)
    for examples in (training, testing) if testing else (training,):
        for array in examples[:2]:
            content.update(f"{array.dtype.str}{array.shape}".encode())
            content.update(np.ascontiguousarray(array).reshape(-1).data)
    digest = content.hexdigest()

    def make(writer: array_cache.Writer) -> array_cache.Described:
        written_names = _write(writer, training, testing, names, test_fraction, size)
        return written_names, f"arrays: {len(training.labels):,} images given to Python"

    return array_cache.open_or_make(array_cache.folder_for(f"arrays-{digest}"), digest, make)


def _made_before(folder: Path, request: Request) -> array_cache.Facts:
    """Returns the facts of a folder that `from_memory` has made."""
    facts = None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        made_from = json.loads((folder / array_cache.FACTS).read_text("utf-8"))["made_from"]
        facts = array_cache.load(folder, made_from)
    if facts is None:
        text = "is a folder that holds no arrays of Python's, or damaged ones"
        raise InputError(f"--arrays {folder}: {text}; name an .npz file, or make the folder again from Python")
    if request.size and request.size != facts.image_shape[:2]:
        height, width, _ = facts.image_shape
        raise InputError(f"--image_size {request.image_size}: the images of {folder} have {height}x{width} pixels")
    if request.class_names is None:
        return facts
    if len(request.class_names) != len(facts.class_names):
        raise InputError(f"class_names: {len(request.class_names)} names for {len(facts.class_names)} classes")
    return dataclasses.replace(facts, class_names=tuple(request.class_names))


@contextlib.contextmanager
def _opened(path: Path, flag: str) -> Iterator[Any]:
    """Opens an .npz file."""
    if not path.exists():
        raise InputError(f"{flag}: there is no such file")
    try:
        if not zipfile.is_zipfile(path):
            raise InputError(f"{flag}: is not an .npz file; write one with numpy.savez: {NAMES}")
        arrays = np.load(path, allow_pickle=False)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{flag}: cannot be read ({reason(error)}); write the file again") from error
    with arrays:
        yield arrays


def _check_there(names: Sequence[str], flag: str) -> None:
    needed = ["x_train", "y_train"]
    if "x_test" in names or "y_test" in names:
        needed += ["x_test", "y_test"]
    for name in needed:
        if name not in names:
            held = ", ".join(sorted(names)[:8]) or "nothing"
            raise InputError(f"{flag}: holds no {name}, but {held}; it must hold {NAMES}")


def _examples(arrays: Any, split: str, flag: str) -> Examples:
    names = f"x_{split}", f"y_{split}"
    images, labels = (_member(arrays, name, flag) for name in names)
    return checked(images, labels, *(f"{flag}: {name}" for name in names))


def _member(arrays: Any, name: str, flag: str) -> np.ndarray:
    try:
        return np.asarray(arrays[name])
    except (OSError, ValueError, EOFError, KeyError, zlib.error, zipfile.BadZipFile) as error:
        if "allow_pickle" in str(error):
            raise InputError(f"{flag}: {name} holds Python objects; store a plain array of one dtype") from error
        raise InputError(f"{flag}: {name} cannot be read ({reason(error)}); write the file again") from error


def _pair(examples: Sequence[Any], kind: str) -> Tuple[np.ndarray, np.ndarray]:
    try:
        images, labels = examples
        return np.asarray(images), np.asarray(labels)
    except (TypeError, ValueError):
        raise InputError(f"the {kind} data: must be a pair of arrays, (images, labels)") from None


def _write(
    writer: array_cache.Writer,
    train: Examples,
    test: Optional[Examples],
    names: Optional[Sequence[str]],
    test_fraction: float,
    size: Size,
) -> Tuple[str, ...]:
    """Fills both splits and returns the class names."""
    class_names = class_names_of(train, test, names)
    if test is None:
        train_rows, test_rows = stratified.train_and_test(train.labels, test_fraction)
        _fill(writer, "train", train, _mixed(train.labels, train_rows), size)
        _fill(writer, "test", train, test_rows, size)
        return class_names
    if test.images.shape[1:] != train.images.shape[1:] and (
        size is None or test.images.shape[3] != train.images.shape[3]
    ):
        shapes = f"shape {list(test.images.shape[1:])}, and {train.images_name} of {list(train.images.shape[1:])}"
        raise InputError(f"{test.images_name}: has images of {shapes}; both must be alike")
    _fill(writer, "train", train, _mixed(train.labels, np.arange(len(train.labels))), size)
    _fill(writer, "test", test, np.arange(len(test.labels)), size)
    return class_names


def _fill(writer: array_cache.Writer, split: str, examples: Examples, chosen: np.ndarray, size: Size) -> None:
    """Writes the chosen examples in their order."""
    _, height, width, channels = examples.images.shape
    images, labels = writer.split(split, len(chosen), (*(size or (height, width)), channels))
    for first in range(0, len(chosen), BLOCK):
        block = chosen[first : first + BLOCK]
        resizing.fill(images[first : first + BLOCK], examples.images[block])
        labels[first : first + BLOCK] = examples.labels[block]


def _mixed(labels: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Returns the chosen examples as they are or, if they come class by class, in another order.

    A validation split from the end of the training split would hold the last classes alone.
    """
    chosen_labels = labels[chosen]
    if chosen_labels[0] == chosen_labels[-1] or np.any(chosen_labels[1:] < chosen_labels[:-1]):
        return chosen
    in_turn = np.empty_like(chosen)
    in_turn[stratified.interleaved(chosen_labels)] = chosen
    return in_turn
