"""Data sets in four IDX files, the format of the original MNIST."""

import dataclasses
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

from input_fns.errors import InputError
from input_fns.sources import array_cache, idx, resizing
from input_fns.sources.array_cache import Facts, Writer
from input_fns.sources.request import Request

# IDX files hold no class names. Fashion-MNIST's: https://github.com/zalandoresearch/fashion-mnist, "Labels".
CLASS_NAMES = {
    "mnist": list("0123456789"),
    "fashion_mnist": "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot".split(","),
    "kmnist": "o,ki,su,tsu,na,ha,ma,ya,re,wo".split(","),
}


def decoded(request: Request) -> Facts:
    """Returns the facts of the data set in the folder `idx_dir`; the first call writes its cache.

    Raises:
        InputError: A file is missing or damaged, or holds labels that the data set does not have.
    """
    folder = request.place("idx")
    if not folder.is_dir():
        raise InputError(f"--idx_dir {request.idx_dir}: is not a folder")
    files = {(split, kind): idx.find_file(folder, split, kind) for split, kind in idx.FILE_NAMES}
    made_from: List[Any] = [request.image_size]
    for path in files.values():
        status = path.stat()
        made_from.append([path.name, status.st_size, status.st_mtime_ns])

    def make(writer: Writer) -> Tuple[Sequence[str], str]:
        return _fill(writer, request, files), ""

    cache = array_cache.folder_for(f"idx-{folder.name}", beside=folder, variant=request.size)
    facts = array_cache.open_or_make(cache, made_from, make)
    # The names are the request's, and no part of the files.
    names = request.class_names or CLASS_NAMES.get(request.name) or facts.class_names
    if len(facts.class_names) > len(names):
        for split in array_cache.SPLITS:
            largest, last = int(array_cache.read(facts.file(split, "labels")).max()), len(names) - 1
            if largest > last:
                path = files[split, "labels"]
                raise InputError(f"{path}: holds the label {largest}; {request.name} has the labels 0 to {last}")
    description = f"{request.name}: the IDX files of {folder}"
    return dataclasses.replace(facts, class_names=tuple(names), description=description)


def _fill(writer: Writer, request: Request, files: Dict[Tuple[str, str], Path]) -> List[str]:
    """Returns the labels up to the largest one, as class names."""
    shapes, largest = {}, 0
    for split in array_cache.SPLITS:
        shapes[split] = idx.check_split(files[split, "images"], files[split, "labels"])
    if shapes["train"][1:] != shapes["test"][1:]:
        (_, *train), (_, *test) = shapes["train"], shapes["test"]
        sizes = "{}x{}, those of {} are {}x{}".format(*test, files["train", "images"].name, *train)
        raise InputError(f"{files['test', 'images']}: its images are {sizes}")
    for split, (examples, height, width) in shapes.items():
        images, labels = writer.split(split, examples, (*(request.size or (height, width)), 1))
        first = 0
        for part in idx.parts(files[split, "images"], "images", (examples, height, width, 1)):
            resizing.fill(images[first : first + len(part)], part)
            first += len(part)
        first = 0
        for part in idx.parts(files[split, "labels"], "labels", (examples,)):
            labels[first : first + len(part)] = part
            first += len(part)
        largest = max(largest, int(labels.max()))
    return [str(label) for label in range(largest + 1)]
