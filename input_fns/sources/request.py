"""What a caller asks `find` for, and what every source takes from it."""

import dataclasses
import os
import re
from pathlib import Path
from typing import Optional, Tuple

from input_fns.errors import InputError

SOURCES = ("auto", "tfds", "idx", "folder", "arrays", "sample")
FOLDERS = {"idx": "idx_dir", "folder": "image_dir", "arrays": "arrays"}  # source -> the field that says where it is
LARGEST_SIDE = 4096  # pixels of an image's height or width


@dataclasses.dataclass(frozen=True)
class Request:
    """What `find` is asked for.

    Attributes:
        dataset: The name of the data set; for TFDS its own, as "mnist" or "emnist/letters". None means "mnist", or with
            a folder of images or a file of arrays the name of that.
        source: One of SOURCES. "auto" takes the first of these that is available: what `idx_dir`, `image_dir` or
            `arrays` names, the prepared data set, a download through TFDS if its host answers within 3 s, the sample
            (MNIST only).
        data_dir: Where TFDS keeps data; None means $TFDS_DATA_DIR, else ~/tensorflow_datasets.
        idx_dir: Folder with the four IDX files.
        image_dir: Folder of images: DIR/train/CLASS/* and DIR/test/CLASS/*, or DIR/CLASS/*.
        image_size: "H" or "HxW" in pixels. Images of another size are resized to it. None: they must be of one size.
        arrays: An .npz file with x_train, y_train, and x_test, y_test if it has a test split.
        test_fraction: The part of the training examples of each class that is cut off for the test, between 0 and 1,
            where a data set has no test split.
        class_names: Of IDX files and of arrays, which hold none.
        stream: The data will be streamed: a data set that TFDS prepared need not be decoded.
        validation_size: This many examples at the end of the training split are held out, and replace the test split.
    """

    dataset: Optional[str] = None
    source: str = "auto"
    data_dir: Optional[str] = None
    idx_dir: Optional[str] = None
    image_dir: Optional[str] = None
    image_size: Optional[str] = None
    arrays: Optional[str] = None
    test_fraction: float = 0.2
    class_names: Optional[Tuple[str, ...]] = None
    stream: bool = False
    validation_size: int = 0

    @property
    def name(self) -> str:
        """The data set's name, without a look at any file.

        Raises:
            InputError: As `chosen_source`.
        """
        if self.dataset:
            return self.dataset
        source = self.chosen_source
        if source in ("folder", "arrays"):
            path = self.place(source)
            return (path.name if source == "folder" else path.stem) or source
        return "mnist"

    @property
    def chosen_source(self) -> str:
        """The source: for "auto" the one whose folder or file is given, and still "auto" if none is.

        Raises:
            InputError: Two are given, or there is no such source.
        """
        if self.source not in SOURCES:
            raise InputError(f"--source {self.source}: is not possible; it must be one of {', '.join(SOURCES)}")
        if self.source != "auto":
            return self.source
        given = [source for source, field in FOLDERS.items() if getattr(self, field)]
        if len(given) > 1:
            first, second = (FOLDERS[source] for source in given[:2])
            raise InputError(f"--{second}: given together with --{first}; give one, or name a --source")
        return given[0] if given else "auto"

    def place(self, source: str) -> Path:
        """Returns the absolute path of the folder or file of a source of FOLDERS.

        Raises:
            InputError: It is not given.
        """
        given = getattr(self, FOLDERS[source])
        if not given:
            raise InputError(f"--{FOLDERS[source]}: not given; --source {source} needs it")
        return Path(os.path.abspath(os.path.expanduser(given)))

    @property
    def tfds_dir(self) -> Path:
        """Where TFDS keeps data."""
        return Path(self.data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()

    @property
    def size(self) -> Optional[Tuple[int, int]]:
        """Height and width in pixels to which images are resized, or None.

        Raises:
            InputError: `image_size` is no size.
        """
        if self.image_size is None:
            return None
        size = size_of(self.image_size)
        if size is None:
            limit = f"sides from 1 to {LARGEST_SIDE} pixels"
            raise InputError(f"--image_size {self.image_size}: must be H or HxW, as in 32 or 32x48, with {limit}")
        return size


def size_of(text: str) -> Optional[Tuple[int, int]]:
    """Returns the height and width of "H" or "HxW" in pixels, None for any other text or if one is out of range."""
    matched = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", text)
    if not matched:
        return None
    height, width = int(matched[1]), int(matched[2] or matched[1])
    return (height, width) if 1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE else None


def silence(line: str) -> None:
    """Says nothing: with it as `say`, a source shows no progress bar either."""
