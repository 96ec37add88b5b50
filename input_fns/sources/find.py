"""Where the splits come from, and what is known of them."""

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Optional, Tuple, Union

import numpy as np

from input_fns.errors import InputError
from input_fns.sources import array_cache, idx_source, sample, tfds_source
from input_fns.sources.array_cache import Facts
from input_fns.sources.request import Request
from input_fns.sources.tfds_source import Streamed


@dataclass(frozen=True)
class Split:
    """One split of a data set, or a part of one.

    `images` and `labels` are .npy files: uint8 [n, height, width, channels] in [0, 255] and int32 [n]. Both are None if
    the split is only ever streamed from TFDS. `tfds_name` and `data_dir` then say from where.
    """

    name: str  # "train" or "test": the original split
    examples: int
    image_shape: Tuple[int, int, int]  # height, width, channels
    images: Optional[Path] = None
    labels: Optional[Path] = None
    tfds_name: Optional[str] = None
    data_dir: Optional[Path] = None
    first: int = 0  # position of its first example in the original split

    def arrays(self) -> Tuple[np.ndarray, np.ndarray]:
        """Returns the mapped images, uint8 [examples, height, width, channels], and labels, int32 [examples].

        Raises:
            InputError: The split is only streamed.
            OSError, ValueError: A file is gone or damaged.
        """
        if self.images is None or self.labels is None:
            raise InputError(
                f"--input stream: the {self.name} split of {self.tfds_name} is streamed, and has no arrays"
            )
        part = slice(self.first, self.first + self.examples)
        return array_cache.read(self.images)[part], array_cache.read(self.labels)[part]


@dataclass(frozen=True)
class Data:
    """A data set that has been found and checked."""

    source: str  # one of SOURCES but "auto"
    dataset: str  # its name
    train: Split
    test: Split  # what a run is evaluated on: with a validation size, the end of the training split
    class_names: Tuple[str, ...]
    description: str
    digest: str  # equal for equal data: detects that a run was started on other data
    preparation: str  # how its images were prepared; see preparation.py

    @property
    def image_shape(self) -> Tuple[int, int, int]:
        """Height, width and channels of every image, in both splits."""
        return self.train.image_shape


def find(request: Request, say: Callable[[str], None] = print) -> Data:
    """Finds a data set, checks it, and decodes it if that has not been done before.

    Args:
        request: What is asked for.
        say: Called with one line where the user should know what was chosen.

    Raises:
        InputError: There is no data, it is damaged, it is none of images and classes, or there is too little.
    """
    data = _find(request, say)
    return _with_validation(data, request.validation_size) if request.validation_size else data


def _with_validation(data: Data, size: int) -> Data:
    """Returns the data with the end of the training split as its test split."""
    left = data.train.examples - size
    if size < 0 or left < 1:
        limit = f"from 0 to {data.train.examples - 1:,}, as there are {data.train.examples:,} training examples"
        raise InputError(f"--validation_size: {size} is not possible; it must be {limit}")
    train, validation = replace(data.train, examples=left), replace(data.train, examples=size, first=left)
    return replace(data, train=train, test=validation)


def _find(request: Request, say: Callable[[str], None]) -> Data:
    source = request.chosen_source
    if source == "idx":
        facts = idx_source.decoded(request)
        return _data(source, request, facts, f"{facts.pixels_crc32:08x}")
    if source == "folder":
        from input_fns.sources import image_folder

        return _cached(source, request, image_folder.decoded(request, say))
    if source == "arrays":
        from input_fns.sources import arrays

        return _cached(source, request, arrays.decoded(request, say))
    if source == "sample":
        return _cached(source, request, sample.decoded(request))
    return _prepared(request, say)


def _prepared(request: Request, say: Callable[[str], None]) -> Data:
    """Returns a data set that TFDS has prepared or can download, or with "auto" the sample."""
    dataset, folder = request.name, request.tfds_dir
    version = tfds_source.version_folder(dataset, folder) or tfds_source.prepared_by_default(request)
    if version is None:
        if not tfds_source.host_answers(request):
            missing = f"{dataset} is not prepared in {folder} and its host does not answer"
            if request.source == "auto" and dataset == "mnist":
                say(f"{missing}: falling back to the sample of 5,000 digits (--source sample)")
                return _cached("sample", request, sample.decoded(request))
            raise InputError(f"--dataset {dataset}: {missing}; name another --data_dir, or IDX files with --idx_dir")
        say(f"Downloading {dataset} to {folder}")
        version = tfds_source.download(request)
    streamed = tfds_source.streamed(request, version) if request.stream else None
    if streamed is None:
        return _cached("tfds", request, tfds_source.decoded(request, version))
    name = tfds_source.tfds_name(dataset, version)
    data = _data("tfds", request, streamed, _digest([name, sorted(streamed.examples.items())]))
    train, test = (replace(split, tfds_name=name, data_dir=folder) for split in (data.train, data.test))
    return replace(data, train=train, test=test)


def _cached(source: str, request: Request, facts: Facts) -> Data:
    return _data(source, request, facts, _digest(sorted(facts.idx_crc32.items())))


def _data(source: str, request: Request, facts: Union[Facts, Streamed], digest: str) -> Data:
    """Returns a data set with the files that `facts` name, or without files if they are of one that is streamed."""

    def split(name: str) -> Split:
        images, labels = (facts.file(name, kind) if isinstance(facts, Facts) else None for kind in ("images", "labels"))
        return Split(name, facts.examples[name], facts.image_shape, images, labels)

    return Data(
        source=source,
        dataset=request.name,
        train=split("train"),
        test=split("test"),
        class_names=facts.class_names,
        description=facts.description,
        digest=digest,
        preparation=facts.preparation,
    )


def _digest(value: Any) -> str:
    return f"{zlib.crc32(str(value).encode()):08x}"
