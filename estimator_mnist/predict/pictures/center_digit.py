"""The foreground of a picture, cut out, scaled and placed as in the images that the network was trained on.

MNIST (LeCun et al. 1998, section III.A; http://yann.lecun.com/exdb/mnist): the digits of NIST, black and white, were
"size normalized to fit in a 20x20 pixel box while preserving their aspect ratio", grey "as a result of the
anti-aliasing technique used", and "centered in a 28x28 image by computing the center of mass of the pixels, and
translating the image so as to position this point at the center".
"""

import math
from typing import List, NamedTuple, Optional, Set, Tuple

import numpy as np

from estimator_mnist.predict.pictures import foreground

MNIST_SIDE, MNIST_BOX = 28, 20  # pixels: MNIST's images, and the box that holds each digit
EDGE = 0.2  # of a full stroke: where the foreground ends
SPECK = 0.05  # of the ink of the largest part: a part with less is dirt
# Pixels of an image of MNIST. A thousandth of its digits have strokes thinner than 1.7, and the median is 3.1. Thinner
# strokes, as of a fine pen, are thickened.
THIN, THICKENED = 1.7, 2.5

Size = Tuple[int, int]  # height, width
Point = Tuple[float, float]  # y, x
Cell = Tuple[int, int]  # y, x


class Bounds(NamedTuple):
    """A rectangle of pixels; bottom and right are exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def longer_side(self) -> int:
        return max(self.bottom - self.top, self.right - self.left)


def prepare(colours: np.ndarray, alpha: Optional[np.ndarray], preprocess: str, size: Size) -> np.ndarray:
    """Cuts out the foreground of a picture and places it.

    Args:
        colours: float32 [height, width] or [height, width, 3] in [0, 1].
        alpha: Opacity, float32 [height, width] in [0, 1], or None.
        preprocess: "mnist" or "fit"; see `decode.Preparation`.
        size: Of the image that is returned.

    Returns:
        uint8 [*size], light on dark.

    Raises:
        NoForegroundError: Nothing stands out from the background.
    """
    as_mnist = preprocess == "mnist"
    plane = colours if colours.ndim == 2 else foreground.brightness(colours, widest=as_mnist)
    if alpha is not None:
        plane = foreground.without_transparency(plane, alpha)
    strokes = foreground.contrast(plane, full_range=as_mnist)
    image = _like_mnist(strokes, size) if as_mnist else _fitted(strokes, size)
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _like_mnist(strokes: np.ndarray, size: Size) -> np.ndarray:
    """Returns float32 [*size]: a digit in a box of 20 pixels of 28, with its centre of mass where MNIST's is."""
    mask, strokes = _without_specks(strokes > EDGE, strokes)
    if strokes.shape == size and _is_placed(mask, strokes, size):
        return strokes
    bounds = _bounds(mask)
    scale = bounds.longer_side / MNIST_BOX  # pixels of the picture for one of MNIST
    margin = math.ceil(scale)  # for faint edges
    around = np.s_[
        max(0, bounds.top - margin) : bounds.bottom + margin, max(0, bounds.left - margin) : bounds.right + margin
    ]
    mask, strokes = mask[around], strokes[around]
    thickness = _thickness(mask)
    if thickness < THIN * scale:
        strokes = _thickened(strokes, round(THICKENED * scale - thickness))
        mask = strokes > EDGE
    return _resampled(strokes, _centre_of_mass(mask, strokes), _mnist_centre(size), _mnist_scale(mask, size), size)


def _is_placed(mask: np.ndarray, strokes: np.ndarray, size: Size) -> bool:
    """Tells whether a picture is already an image like MNIST's, which would only lose by being resampled."""
    y, x = _centre_of_mass(mask, strokes)
    centre_y, centre_x = _mnist_centre(size)
    return _mnist_scale(mask, size) <= 1 and max(abs(y - centre_y), abs(x - centre_x)) < 0.55


def _mnist_centre(size: Size) -> Point:
    """Returns the centre of mass in MNIST's images, to half a pixel: the middle of pixel 14 of 28, counted from 0."""
    height, width = size
    return height / 2 + 0.5, width / 2 + 0.5


def _mnist_scale(mask: np.ndarray, size: Size) -> float:
    """Returns how many pixels of the picture become one, so that the digit fits in MNIST's box."""
    bounds, (height, width) = _bounds(mask), size
    return max(
        (bounds.bottom - bounds.top) / (height * MNIST_BOX / MNIST_SIDE),
        (bounds.right - bounds.left) / (width * MNIST_BOX / MNIST_SIDE),
    )


def _fitted(strokes: np.ndarray, size: Size) -> np.ndarray:
    """Returns float32 [*size]: the foreground in the middle, as large as fits."""
    if strokes.shape == size:
        return strokes
    (top, bottom, left, right), (height, width) = _bounds(strokes > EDGE * strokes.max()), size
    scale = max((bottom - top) / height, (right - left) / width)
    return _resampled(strokes, ((top + bottom) / 2, (left + right) / 2), (height / 2, width / 2), scale, size)


def _bounds(mask: np.ndarray) -> Bounds:
    """Returns the smallest rectangle that holds everything that is true."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Bounds(rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)


def _centre_of_mass(mask: np.ndarray, strokes: np.ndarray) -> Point:
    """Returns y and x. The middle of the first pixel lies at 0.5."""
    weights = np.where(mask, strokes, 0)
    y, x = weights.sum(axis=1), weights.sum(axis=0)
    total = y.sum()
    return float(y @ np.arange(len(y)) / total) + 0.5, float(x @ np.arange(len(x)) / total) + 0.5


def _resampled(strokes: np.ndarray, centre: Point, target: Point, scale: float, size: Size) -> np.ndarray:
    """Returns float32 [*size]: `scale` pixels become one, and the point `centre` moves to `target`."""
    rows, columns = (
        _resampling(old_pixels, new_pixels, old, new, scale)
        for old_pixels, new_pixels, old, new in zip(strokes.shape, size, centre, target)
    )
    return rows @ strokes @ columns.T


def _resampling(pixels: int, new_pixels: int, centre: float, target: float, scale: float) -> np.ndarray:
    """Returns the weights of the old pixels in each new one along an axis, float32 [new_pixels, pixels].

    A new pixel is `scale` old ones wide and averages what it covers. What lies outside is 0.
    """
    width = max(scale, 1.0)
    middles = centre + (np.arange(new_pixels, dtype=np.float32) + 0.5 - target)[:, np.newaxis] * scale
    edges = np.arange(pixels, dtype=np.float32)
    covered = np.minimum(edges + 1, middles + width / 2) - np.maximum(edges, middles - width / 2)
    return np.clip(covered, 0, 1) / width


def _thickness(mask: np.ndarray) -> float:
    """Returns the mean thickness of the strokes in pixels.

    It is twice their area divided by the length of their outline, which is pi / 4 of the changes along all rows and
    columns (Crofton's formula).
    """
    changes = np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    return 2 * np.count_nonzero(mask) / (math.pi / 4 * max(changes, 1))


def _thickened(strokes: np.ndarray, by: int) -> np.ndarray:
    """Returns the strokes thicker by `by` pixels, on a picture larger by as many on every side."""
    strokes = np.pad(strokes, by)
    while by:
        shift = (by + 1) // 2
        strokes[shift:] = np.maximum(strokes[shift:], strokes[:-shift])
        strokes[:, shift:] = np.maximum(strokes[:, shift:], strokes[:, :-shift])
        by -= shift
    return strokes


def _without_specks(mask: np.ndarray, strokes: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Returns mask and strokes without small parts that lie apart from the rest."""
    if not (_has_gap(mask.any(axis=1)) or _has_gap(mask.any(axis=0))):
        return mask, strokes
    side = max(1, max(mask.shape) // 40)  # of a cell, in pixels
    rows, columns = np.arange(0, mask.shape[0], side), np.arange(0, mask.shape[1], side)
    ink = np.add.reduceat(np.add.reduceat(np.where(mask, strokes, 0), rows, axis=0), columns, axis=1)
    parts = _connected({(int(y), int(x)) for y, x in zip(*np.nonzero(ink))})
    inks = [sum(ink[cell] for cell in part) for part in parts]
    keep = np.zeros(ink.shape, bool)
    for part, amount in zip(parts, inks):
        if amount >= SPECK * max(inks):
            keep[tuple(zip(*part))] = True
    kept, inked = (
        cells.repeat(side, axis=0).repeat(side, axis=1)[: mask.shape[0], : mask.shape[1]] for cells in (keep, ink > 0)
    )
    # Only dropped cells are erased: the faint edges of what is kept reach into neighbouring cells without ink.
    return mask & kept, np.where(inked & ~kept, 0, strokes)


def _has_gap(inked: np.ndarray) -> bool:
    return np.count_nonzero(inked[1:] != inked[:-1]) > 2 - int(inked[0]) - int(inked[-1])


def _connected(cells: Set[Cell]) -> List[List[Cell]]:
    """Returns the connected parts of a set of cells; cells that share a side or a corner are neighbours."""
    parts = []
    while cells:
        part = [cells.pop()]
        for y, x in part:
            neighbours = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & cells
            cells -= neighbours
            part.extend(neighbours)
        parts.append(part)
    return parts
