"""Checks of a user's arrays: every error says which array is wrong, and how to make it right."""

from typing import NamedTuple, Optional, Sequence, Tuple

import numpy as np

from input_fns.errors import InputError


class Examples(NamedTuple):
    """Checked examples."""

    images: np.ndarray  # uint8 [n, height, width, 1 or 3]
    labels: np.ndarray  # int32 [n], 0 or larger
    images_name: str  # for messages
    labels_name: str


def checked(images: np.ndarray, labels: np.ndarray, images_name: str, labels_name: str) -> Examples:
    """Returns examples in the form that the cache holds.

    Args:
        images: uint8 [n, height, width] or [n, height, width, 1 or 3].
        labels: Integers [n] or [n, 1].
        images_name: For messages.
        labels_name: Likewise.

    Raises:
        InputError: An array has another dtype or shape, or a label is negative.
    """
    if images.dtype != np.uint8:
        raise InputError(
            f"{images_name}: holds {images.dtype}, and images are uint8 from 0 to 255; {_as_uint8(images)}"
        )
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape:
        text = f"has shape {_text(images.shape)}, not [n, height, width] or [n, height, width, 1 or 3]"
        raise InputError(f"{images_name}: {text}; {_reshaped(images.shape)}")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        one_hot = "if it is one-hot, " if labels.ndim == 2 else ""
        text = f"has shape {_text(labels.shape)}, and labels have [n] or [n, 1]; {one_hot}convert it with"
        raise InputError(f"{labels_name}: {text} {'argmax(axis=1)' if one_hot else 'reshape(-1)'}")
    if not np.issubdtype(labels.dtype, np.integer):
        remedy = "convert it with numpy.unique(y, return_inverse=True)[1]"
        raise InputError(f"{labels_name}: holds {labels.dtype}, and labels are integers from 0 on; {remedy}")
    if len(labels) != len(images):
        raise InputError(f"{labels_name}: {len(labels):,} labels for the {len(images):,} images of {images_name}")
    if labels.min() < 0:
        raise InputError(f"{labels_name}: holds the label {labels.min()}; labels are integers from 0 on")
    if labels.max() >= np.iinfo(np.int32).max:
        raise InputError(f"{labels_name}: holds the label {labels.max()}; labels count the classes from 0 on")
    return Examples(images, labels.astype(np.int32), images_name, labels_name)


def checked_names(names: np.ndarray, where: str) -> Tuple[str, ...]:
    """Returns class names, of text [classes].

    Raises:
        InputError: They are no text, or have another shape.
    """
    if names.ndim != 1 or not len(names) or names.dtype.kind not in "US":
        raise InputError(f"{where}: is {names.dtype} {_text(names.shape)}; it must be a list of text, a name a class")
    try:
        return tuple(name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names.tolist())
    except UnicodeDecodeError:
        raise InputError(f"{where}: holds a name that is not UTF-8; store text instead of bytes") from None


def class_names_of(train: Examples, test: Optional[Examples], names: Optional[Sequence[str]]) -> Tuple[str, ...]:
    """Returns the given class names, or those of the labels: "0", "1" and so on.

    Raises:
        InputError: A label has no name or, without names, no training example has one of the labels up to the largest.
    """
    both = [train, test] if test else [train]
    if names is not None:
        for examples in both:
            largest = int(examples.labels.max())
            if largest >= len(names):
                text = f"holds the label {largest}, and there are {len(names)} class names"
                raise InputError(f"{examples.labels_name}: {text}; give a name for each label from 0 on")
        return tuple(map(str, names))
    used = np.unique(train.labels)
    gaps = np.flatnonzero(used != np.arange(len(used)))
    if len(gaps):
        text = f"holds the label {used[-1]} and no {gaps[0]}; number the classes from 0 on without gaps, with"
        raise InputError(f"{train.labels_name}: {text} numpy.unique(y, return_inverse=True)[1], or give class names")
    if test and test.labels.max() >= len(used):
        text = f"holds the label {test.labels.max()}, and {train.labels_name} ends at {len(used) - 1}"
        raise InputError(f"{test.labels_name}: {text}; add training examples of that class, or give class names")
    return tuple(map(str, range(len(used))))


def _as_uint8(images: np.ndarray) -> str:
    convert = "convert them with"
    if images.dtype == bool:
        return f"{convert} x.astype('uint8') * 255"
    if np.issubdtype(images.dtype, np.floating) and images.size:
        low, high = images.min(), images.max()
        if low >= 0 and high <= 1:
            return f"{convert} (x * 255).round().astype('uint8')"
        if low >= 0 and high <= 255:
            return f"{convert} x.round().astype('uint8')"
        return f"theirs reach from {low:.3g} to {high:.3g}: scale them to 0 to 255, then x.round().astype('uint8')"
    if np.issubdtype(images.dtype, np.integer) and images.size:
        low, high = images.min(), images.max()
        if low >= 0 and high <= 255:
            return f"{convert} x.astype('uint8')"
        return f"theirs reach from {low} to {high}: scale them to 0 to 255, then x.round().astype('uint8')"
    return "store them as uint8"


def _reshaped(shape: Tuple[int, ...]) -> str:
    if 0 in shape:
        return "it must hold at least one image"
    if len(shape) == 2:
        side = round(shape[1] ** 0.5)
        size = f"{side}, {side}" if side * side == shape[1] else "height, width"
        return f"if an image is a row, convert it with x.reshape(-1, {size})"
    if len(shape) == 4 and shape[1] in (1, 3):
        return "if channels come first, convert it with x.transpose(0, 2, 3, 1)"
    if len(shape) == 4 and shape[3] == 4:
        return "if the fourth channel is opacity, leave it out with x[..., :3]"
    return "images are grey (1 channel) or red, green and blue (3)"


def _text(shape: Tuple[int, ...]) -> str:
    return f"[{', '.join(map(str, shape))}]"
