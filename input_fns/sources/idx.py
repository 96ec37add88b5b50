"""IDX files, the format of the original MNIST.

Format (http://yann.lecun.com/exdb/mnist, "file formats"): a big-endian int32 magic number, one big-endian int32 for
dimension, then the bytes of the array. Files are plain or gzipped, which their first bytes tell and not their names.
"""

import contextlib
import gzip
import zlib
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Tuple

import numpy as np

from input_fns.errors import InputError

IMAGES_MAGIC, LABELS_MAGIC = 0x803, 0x801  # unsigned bytes in three dimensions, in one dimension
IMAGES_HEADER, LABELS_HEADER = 16, 8  # bytes before the array
MAGIC = {"images": IMAGES_MAGIC, "labels": LABELS_MAGIC}
HEADER = {"images": IMAGES_HEADER, "labels": LABELS_HEADER}
CHUNK = 1 << 20  # bytes read at a time: a file can be larger than memory
UNREADABLE = (OSError, EOFError, zlib.error)
FILE_NAMES = {  # (split, kind) -> file name in the original distribution
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}


def find_file(folder: Path, split: str, kind: str) -> Path:
    """Returns the path of a split's "images" or "labels" file in `folder`, plain or gzipped.

    Raises:
        InputError: There is no such file.
    """
    name = FILE_NAMES[split, kind]
    for variant in (name, name + ".gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"):
        if (folder / variant).is_file():
            return folder / variant
    raise InputError(f"--idx_dir {folder}: holds no {name} or {name}.gz")


def is_gzipped(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def check_split(images_path: Path, labels_path: Path) -> Tuple[int, int, int]:
    """Checks both files of a split in constant memory.

    Returns:
        The shape of the images: examples, height, width.

    Raises:
        InputError: A file is unreadable, cut short, or of another format, or the two hold different counts.
    """
    examples, height, width = _check(images_path, "images")
    (labels,) = _check(labels_path, "labels")
    if examples != labels:
        raise InputError(f"{labels_path}: {labels} labels for the {examples} images of {images_path.name}")
    if not examples * height * width:
        raise InputError(f"{images_path}: holds no images")
    return examples, height, width


def parts(path: Path, kind: str, shape: Tuple[int, ...]) -> Iterator[np.ndarray]:
    """Yields the array of a file that has been checked, in parts of about a megabyte.

    Args:
        path: The file, plain or gzipped.
        kind: "images" or "labels".
        shape: Of the array, which begins with the number of examples.

    Yields:
        uint8 [some examples, *shape[1:]].

    Raises:
        InputError: The file cannot be read, or has become shorter.
    """
    size, left = int(np.prod(shape[1:])), shape[0]
    try:
        with _opened(path) as file:
            file.read(HEADER[kind])
            while left:
                count = min(left, max(1, CHUNK // size))
                part = file.read(count * size)
                if len(part) < count * size:
                    raise InputError(f"{path}: has become shorter while it was read")
                yield np.frombuffer(part, np.uint8).reshape(count, *shape[1:])
                left -= count
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _check(path: Path, kind: str) -> Tuple[int, ...]:
    """Returns the shape in a file's header."""
    try:
        with _opened(path) as file:
            header, size = file.read(HEADER[kind]), sum(map(len, _chunks(file)))
    except UNREADABLE as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    magic, *shape = np.frombuffer(header[: len(header) // 4 * 4], ">i4").tolist() or [None]
    if magic != MAGIC[kind] or len(header) < HEADER[kind]:
        raise InputError(
            f"{path}: is not an IDX file of {kind} (its first bytes are not the magic number {MAGIC[kind]})"
        )
    expected = int(np.prod(shape, dtype=np.int64))
    if min(shape) < 0 or size != expected:
        size, expected = size + HEADER[kind], expected + HEADER[kind]
        raise InputError(f"{path}: has {size:,} bytes where its header promises {expected:,}")
    return tuple(shape)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Opens a file for reading, plain or gzipped."""
    with gzip.open(path) if is_gzipped(path) else open(path, "rb") as file:
        yield file


def _chunks(file: Any) -> Iterator[bytes]:
    return iter(lambda: file.read(CHUNK), b"")


def to_bytes(array: np.ndarray) -> bytes:
    """Returns the content of an IDX file of bytes that holds an array of integers from 0 to 255."""
    array = np.ascontiguousarray(array, np.uint8)
    return header(array) + array.tobytes()


def header(array: np.ndarray) -> bytes:
    """Returns the first bytes of an IDX file that holds an array, uint8 or big-endian int32."""
    kind = 0x08 if array.dtype.itemsize == 1 else 0x0C
    return np.array([kind << 8 | array.ndim, *array.shape], ">i4").tobytes()


def checksums(splits: Mapping[str, Tuple[np.ndarray, np.ndarray]]) -> Tuple[Dict[str, int], int]:
    """Returns checksums of a data set that depend on its examples alone, as if it lay in IDX files.

    Args:
        splits: By "train" and "test": images, uint8 [n, height, width, channels], and labels, int32 [n].

    Returns:
        CRC-32 of each file by name, and that of all arrays without their headers, one after the other. Grey images
        have no axis of channels there, and labels are bytes unless one is above 255.
    """
    files, all_arrays = {}, 0
    for (split, kind), name in FILE_NAMES.items():
        array = splits[split][0 if kind == "images" else 1]
        if kind == "images":
            array = array[..., 0] if array.shape[-1] == 1 else array
        else:
            array = array.astype(np.uint8 if array.max() <= 255 else ">i4")
        data = array.reshape(-1).view(np.uint8).data  # no copy: an axis of one does not matter
        files[name], all_arrays = zlib.crc32(data, zlib.crc32(header(array))), zlib.crc32(data, all_arrays)
    return files, all_arrays
