"""Predictions of images that a program holds, arrays or pictures. Prints nothing and starts no process."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Iterator, List, Sequence, Tuple, Union

import numpy as np
from PIL import Image

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.predict.choose_preparation import chosen_preparation
from estimator_mnist.predict.classifier import Network
from estimator_mnist.predict.pictures import decode, reader
from input_fns import InputError
from input_fns.errors import reason
from input_fns.sources.image_files import ImageFileError

Picture = Union[str, "os.PathLike[str]", Image.Image]  # an image file, a folder of them, or an image of Pillow
Images = Union[np.ndarray, Picture, Sequence[Union[np.ndarray, Picture]]]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a network says of n images, in their order."""

    classes: np.ndarray  # int64 [n], the most probable class of each
    probabilities: np.ndarray  # float32 [n, classes]
    logits: np.ndarray  # float32 [n, classes]
    files: Tuple[str, ...] = ()  # of pictures: the file of each, "" for an image of Pillow

    def __len__(self) -> int:
        return len(self.classes)


def predict(images: Images, network: Network, experiment: Experiment, preprocess: str = "auto") -> Predictions:
    """Classifies arrays or pictures.

    Args:
        images: Arrays, which the network sees as they are: integers in [0, 255] or floats in [0, 1], of the shape
            [n, *experiment.image_shape], [n, height, width] of one channel, or a sequence of such images. Or pictures
            of any size: a path, an image of Pillow, or a sequence of these. A folder counts for the image files in it,
            in sorted order, subfolders included.
        network: Of `classifier.load_network`.
        experiment: The network's.
        preprocess: How to prepare pictures, one of `input_fns.PREPROCESSES`. Arrays are not prepared.

    Raises:
        InputError: An array has another shape or values out of range, a picture cannot be read, or `preprocess` does
            not suit the network.
    """
    files: Tuple[str, ...] = ()
    items = _listed(images)
    if isinstance(items, list) and any(map(_is_picture, items)):
        files, pixels = _prepared(items, experiment, preprocess)
    else:
        pixels = checked_array(items, experiment.image_shape)
    probabilities, logits = _by_batches(pixels, network, experiment)
    return Predictions(np.argmax(logits, axis=1), probabilities, logits, files)


def checked_array(images: Any, image_shape: Tuple[int, int, int]) -> np.ndarray:
    """Returns images as [n, *image_shape], uint8 in [0, 255] or float32 in [0, 1].

    Raises:
        InputError: They have another shape, are no numbers, or have values out of range.
    """
    height, width, channels = image_shape
    try:
        array = np.asarray(images)
    except ValueError as error:  # images of different sizes
        raise InputError(f"images: do not make one array ({reason(error)})") from error
    if array.dtype.kind not in "iuf":
        raise InputError(f"images: are {array.dtype}; they must be integers in [0, 255] or floats in [0, 1]")
    if array.size == 0 and len(array) == 0:
        return np.zeros([0, *image_shape], np.uint8)
    if array.shape[1:] != image_shape and not (channels == 1 and array.shape[1:] == (height, width)):
        takes = f"[n, {height}, {width}, {channels}]" + (f" or [n, {height}, {width}]" if channels == 1 else "")
        hint = "; give one image as images[None]" if array.shape in (image_shape, (height, width)) else ""
        raise InputError(f"images: have the shape {list(array.shape)}; this network takes {takes}{hint}")
    is_integer = array.dtype.kind in "iu"
    lowest, highest = array.min(), array.max()
    if not (lowest >= 0 and highest <= (255 if is_integer else 1)):  # also where one of them is NaN
        kind, limits = ("integers", "[0, 255]") if is_integer else ("floats", "[0, 1]")
        raise InputError(f"images: range from {lowest:g} to {highest:g}; {kind} must be in {limits}")
    return array.astype(np.uint8 if is_integer else np.float32, copy=False).reshape(-1, *image_shape)


def _listed(images: Any) -> Any:
    """Returns images as a list, unless they are one array."""
    if _is_picture(images):
        return [images]
    return list(images) if isinstance(images, Iterable) and not hasattr(images, "__array__") else images


def _is_picture(item: Any) -> bool:
    return isinstance(item, (str, os.PathLike, Image.Image))


def _prepared(items: Sequence[Any], experiment: Experiment, preprocess: str) -> Tuple[Tuple[str, ...], np.ndarray]:
    """Returns the files of pictures and what the network sees of them, uint8 [n, *image_shape]."""
    preparation = chosen_preparation(preprocess, experiment)
    files, prepared = [], []
    for number, item in enumerate(items):
        if not _is_picture(item):
            raise InputError(f"images: number {number} is no picture, unlike others; give arrays or pictures, not both")
        for picture in _pictures(item):
            file = "" if isinstance(picture, Image.Image) else picture
            try:
                prepared.append(decode.prepare(picture, preparation))
            except ImageFileError as error:
                raise InputError(f"{file or f'images: number {number}'}: {error}") from error
            files.append(file)
    return tuple(files), np.stack(prepared)


def _pictures(item: Any) -> Iterator[Union[str, Image.Image]]:
    """Yields an image of Pillow, a file, or the image files of a folder."""
    if isinstance(item, Image.Image):
        yield item
        return
    path = str(Path(item).expanduser())
    for source in reader.find([path]):
        if source.error:
            raise InputError(f"{source.file}: {source.error}")
        yield source.file


def _by_batches(images: np.ndarray, network: Network, experiment: Experiment) -> Tuple[np.ndarray, np.ndarray]:
    """Returns probabilities and logits, float32 [n, classes] both."""
    parts: List[List[np.ndarray]] = [[np.zeros([0, experiment.classes], np.float32)] * 2]
    for first in range(0, len(images), experiment.eval_batch_size):
        batch = images[first : first + experiment.eval_batch_size]
        parts.append(network(batch.astype(np.float32) / 255 if batch.dtype == np.uint8 else batch))
    probabilities, logits = (np.concatenate(arrays) for arrays in zip(*parts))
    return probabilities, logits
