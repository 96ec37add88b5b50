"""A folder of images, with a folder for each class, to a data set in the cache.

An image is decoded once. As long as all are grey, they are written to arrays of one channel. The first colour image
replaces those by arrays of three.
"""

import contextlib
import sys
import time
from typing import Any, Callable, Optional, Tuple

import numpy as np

from input_fns.errors import InputError
from input_fns.sources import array_cache, image_listing, image_processes, stratified
from input_fns.sources.image_files import ImageFileError, Size, read_image
from input_fns.sources.image_listing import Listing
from input_fns.sources.request import Request, silence

VERSION = 1  # of how files become images and in which order: another one makes cached data anew
BLOCK = 4096  # images copied at a time
EVERY_SECONDS = 60.0  # between lines of progress, where there is no terminal for a bar

Say = Callable[[str], None]


def decoded(request: Request, say: Say) -> array_cache.Facts:
    """Returns the facts of the data set that a folder of images makes.

    The first call decodes the images; see `array_cache`. Class names are those of the folders, sorted. If the folder
    has no test split, one is cut off; see `stratified`. Classes come in turn, in proportion to their sizes, and each
    class in a shuffled order. So every part of a split holds all of them.

    Args:
        request: With `image_dir`, `image_size` and `test_fraction`.
        say: Called with one line about what is read, and where it may differ from what the user expects.

    Raises:
        InputError: There is no such folder, a file or a folder in it cannot be used, or sizes differ.
    """
    folder, size = request.place("folder"), request.size
    with _Progress(f"listing {folder.name}", None, say) as progress:
        listing = image_listing.listed(folder, progress.add)
    held_out_part = None if listing.has_test else request.test_fraction
    made_from = [VERSION, size, held_out_part, listing.digest]

    def make(writer: array_cache.Writer) -> array_cache.Described:
        return _make(request, listing, writer, say)

    # A cache for each size and fraction: runs that differ in them would replace one another's data.
    cache = array_cache.folder_for(f"folder-{request.name}", variant=[str(folder.resolve()), size, held_out_part])
    return array_cache.open_or_make(cache, made_from, make)


def _make(request: Request, listing: Listing, writer: array_cache.Writer, say: Say) -> array_cache.Described:
    labels = np.concatenate([np.full(one.count, one.label, np.int32) for one in listing.class_folders])
    if listing.has_test:
        is_test = np.concatenate([np.full(one.count, one.split == "test") for one in listing.class_folders])
    else:
        is_test = np.zeros(len(labels), bool)
        is_test[stratified.train_and_test(labels, request.test_fraction)[1]] = True
    folder, count = listing.folder, len(labels)
    say(f"Reading {count:,} images of {len(listing.class_names):,} classes in {folder}")
    _say_what_is_missing(listing, say)
    size, channels = _first_image(listing, request.size)
    arrays = _Arrays(writer, labels, is_test, (size.height, size.width))
    arrays.allocate(channels)
    with _Progress(f"reading {folder.name}", count, say) as progress:
        for chunk in image_processes.decode_in_order(listing.paths(), count, size):
            arrays.append(chunk.images)
            progress.add(len(chunk.images))
    assert arrays.filled == count, "all files were listed before"
    split = "" if listing.has_test else f", of which {int(is_test.sum()):,} were held out for the test"
    return listing.class_names, f"{request.name}: {count:,} images of the folder {folder}{split}"


def _say_what_is_missing(listing: Listing, say: Say) -> None:
    if listing.ignored:
        say(f"Only train and test of {listing.folder} are read, not {', '.join(listing.ignored)}")
    tested = {one.label for one in listing.class_folders if one.split == "test"}
    untested = [name for label, name in enumerate(listing.class_names) if label not in tested]
    if tested and untested:
        more = f" and {len(untested) - 3:,} more" if len(untested) > 3 else ""
        say(f"The test split has no images of {', '.join(untested[:3])}{more}")


def _first_image(listing: Listing, size: Optional[Tuple[int, int]]) -> Tuple[Size, int]:
    """Returns the size of all images, and the channels of the first."""
    with contextlib.closing(listing.paths()) as paths:
        path = next(paths)
    try:
        image = read_image(path, Size(*size, True) if size else None)
    except ImageFileError as error:
        raise InputError(f"{path}: {error}") from None
    return Size(image.shape[0], image.shape[1], size is not None), image.shape[2]


class _Arrays:
    """Images in the order of their files, on the way to their rows in the arrays of both splits."""

    def __init__(self, writer: array_cache.Writer, labels: np.ndarray, is_test: np.ndarray, size: Tuple[int, int]):
        self.filled = 0  # files whose images have been written
        self._writer, self._labels, self._size, self._channels = writer, labels, size, 0
        self._splits = (("train", ~is_test), ("test", is_test))  # which files are in each
        self._rows = np.empty(len(labels), np.int64)  # of each file in its split
        for _, chosen in self._splits:
            self._rows[chosen] = stratified.interleaved(labels[chosen])

    def allocate(self, channels: int) -> None:
        """Makes arrays of so many channels, and moves what has been written to them."""
        old, self._channels = dict(self._writer.arrays), channels
        for split, chosen in self._splits:
            rows = self._rows[chosen]
            images, labels = self._writer.split(split, len(rows), (*self._size, channels))
            labels[rows] = self._labels[chosen]
            written = self._rows[: self.filled][chosen[: self.filled]]
            for first in range(0, len(written), BLOCK):
                block = written[first : first + BLOCK]
                images[block] = old[split][0][block]

    def append(self, images: np.ndarray) -> None:
        """Writes the images of the next files, uint8 [n, height, width, channels]."""
        if images.shape[3] > self._channels:
            self.allocate(images.shape[3])
        files = slice(self.filled, self.filled + len(images))
        for split, chosen in self._splits:
            self._writer.arrays[split][0][self._rows[files][chosen[files]]] = images[chosen[files]]
        self.filled += len(images)


class _Progress:
    """A bar on standard error if that is a terminal, and otherwise a line a minute."""

    def __init__(self, text: str, count: Optional[int], say: Say):
        self._text, self._count, self._say = text, count, say
        self._done, self._said = 0, time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> "_Progress":
        if self._say is not silence and sys.stderr is not None and sys.stderr.isatty():
            import tqdm

            self._bar = tqdm.tqdm(desc=self._text, total=self._count, unit=" images", delay=1, leave=False)
        return self

    def add(self, count: int) -> None:
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._said > EVERY_SECONDS:
            self._said = time.monotonic()
            self._say(f"{self._text}: {self._done:,}{f' of {self._count:,}' if self._count else ''} images")

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()
