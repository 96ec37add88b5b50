"""IDX files, the format of the original MNIST: the form in which every split reaches the graph.

Format (http://yann.lecun.com/exdb/mnist, "file formats"): a big-endian int32 magic number, one big-endian int32 for
each dimension, then the bytes of the array. Plain or gzipped, told apart by the content and not by the name.
"""

import gzip
import zlib
from pathlib import Path
from typing import Tuple

import numpy as np

from input_fns.errors import InputError

IMAGES_MAGIC, LABELS_MAGIC = 0x803, 0x801  # unsigned bytes in three dimensions, in one
IMAGES_HEADER, LABELS_HEADER = 16, 8  # bytes before the array
IMAGE_SHAPE = (28, 28)
FILE_NAMES = {  # (split, kind) -> name in the original distribution
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}


def find_file(folder: Path, split: str, kind: str) -> Path:
    """Returns the path of a split's "images" or "labels" file in `folder`, plain or gzipped.

    Raises:
        InputError: There is none.
    """
    name = FILE_NAMES[split, kind]
    for variant in (name, name + ".gz", name.replace("-idx", ".idx"), name.replace("-idx", ".idx") + ".gz"):
        if (folder / variant).is_file():
            return folder / variant
    raise InputError(f"--idx_dir {folder}: holds no {name} or {name}.gz")


def is_gzipped(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def read_split(images_path: Path, labels_path: Path) -> Tuple[np.ndarray, np.ndarray]:
    """Reads and checks both files of a split.

    Returns:
        Images, uint8 [n, 28, 28] in [0, 255], and labels, uint8 [n].

    Raises:
        InputError: A file is unreadable, cut short, of another format or shape, or the two hold different counts.
    """
    images = _read(images_path, IMAGES_MAGIC, "images")
    labels = _read(labels_path, LABELS_MAGIC, "labels")
    if images.shape[1:] != IMAGE_SHAPE:
        raise InputError(f"{images_path}: images are {images.shape[1]}x{images.shape[2]}, not 28x28")
    if len(images) != len(labels):
        raise InputError(f"{labels_path}: {len(labels)} labels for the {len(images)} images of {images_path.name}")
    if not len(images):
        raise InputError(f"{images_path}: holds no images")
    return images, labels


def _read(path: Path, magic: int, kind: str) -> np.ndarray:
    try:
        data = gzip.decompress(path.read_bytes()) if is_gzipped(path) else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    dimensions = magic & 0xFF
    header = np.frombuffer(data[: 4 * (1 + dimensions)], ">i4") if len(data) >= 4 * (1 + dimensions) else None
    if header is None or header[0] != magic:
        raise InputError(f"{path}: is no IDX file of {kind} (its first bytes are not the magic number {magic})")
    shape = tuple(int(size) for size in header[1:])
    expected = 4 * (1 + dimensions) + int(np.prod(shape, dtype=np.int64))
    if min(shape) < 0 or len(data) != expected:
        raise InputError(f"{path}: has {len(data):,} bytes where its header promises {expected:,}")
    return np.frombuffer(data, np.uint8, offset=4 * (1 + dimensions)).reshape(shape)


def to_bytes(array: np.ndarray) -> bytes:
    """Returns a uint8 array of one or three dimensions as the content of an IDX file."""
    magic = LABELS_MAGIC if array.ndim == 1 else IMAGES_MAGIC
    return np.array([magic, *array.shape], ">i4").tobytes() + np.ascontiguousarray(array, np.uint8).tobytes()
