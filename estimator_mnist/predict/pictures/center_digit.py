"""What stands on a picture, cut out and placed as the images of MNIST were.

MNIST (LeCun et al. 1998, section III.A; http://yann.lecun.com/exdb/mnist): the digits of NIST, black and white, were
"size normalized to fit in a 20x20 pixel box while preserving their aspect ratio", grey "as a result of the
anti-aliasing technique used", and "centered in a 28x28 image by computing the center of mass of the pixels, and
translating the image so as to position this point at the center".
"""

import math
from typing import List, Optional, Set, Tuple

import numpy as np

from estimator_mnist.predict.pictures import foreground

SIDE = 28
CENTRE = 14.5  # of mass in MNIST's images, to half a pixel: the middle of pixel 14, counted from 0
BOX = {"mnist": 20, "fit": 28}  # the longer side of what is cut out, in pixels of the result
EDGE = 0.2  # of the full stroke: where what is cut out ends
SPECK = 0.05  # of the largest part: a part with less ink is dirt
# Pixels of the result. In MNIST a thousandth of the digits have strokes thinner than 1.7, the median is 3.1: what is
# thinner, as of a fine pen, is made thicker.
THIN, THICKENED = 1.7, 2.5

Place = Tuple[int, int]  # y, x


def prepare(colours: np.ndarray, alpha: Optional[np.ndarray], preprocess: str) -> np.ndarray:
    """Cuts out what stands on a picture.

    Args:
        colours: float32 [height, width] or [height, width, 3] in [0, 1].
        alpha: Opacity, float32 [height, width] in [0, 1], or None.
        preprocess: "mnist" or "fit"; see `pictures.prepare`.

    Returns:
        uint8 [28, 28], light on dark.

    Raises:
        NothingThereError: There is nothing.
    """
    plane = colours if colours.ndim == 2 else foreground.brightness(colours, widest=preprocess == "mnist")
    if alpha is not None:
        plane = foreground.without_transparency(plane, alpha)
    strokes = foreground.stand_out(plane, full_range=preprocess == "mnist")
    placed = _digit(strokes) if preprocess == "mnist" else _fitted(strokes)
    return np.rint(255 * np.clip(placed, 0, 1)).astype(np.uint8)


def _digit(strokes: np.ndarray) -> np.ndarray:
    """Returns float32 [28, 28]: the strokes in a box of 20x20, their centre of mass where MNIST's is."""
    mask, strokes = _without_specks(strokes > EDGE, strokes)
    if strokes.shape == (SIDE, SIDE) and _is_placed(mask, strokes):
        return strokes
    top, bottom, left, right = _bounds(mask)
    scale = max(bottom - top, right - left) / BOX["mnist"]
    margin = math.ceil(scale)  # for faint edges
    around = np.s_[max(0, top - margin) : bottom + margin, max(0, left - margin) : right + margin]
    mask, strokes = mask[around], strokes[around]
    thickness = _thickness(mask)
    if thickness < THIN * scale:
        strokes = _thickened(strokes, round(THICKENED * scale - thickness))
        mask = strokes > EDGE
    top, bottom, left, right = _bounds(mask)
    return _resampled(strokes, _centre_of_mass(mask, strokes), CENTRE, max(bottom - top, right - left) / BOX["mnist"])


def _is_placed(mask: np.ndarray, strokes: np.ndarray) -> bool:
    """Tells whether an image is one of MNIST's, or as good as one: it is not resampled, then."""
    top, bottom, left, right = _bounds(mask)
    y, x = _centre_of_mass(mask, strokes)
    return max(bottom - top, right - left) <= BOX["mnist"] and max(abs(y - CENTRE), abs(x - CENTRE)) < 0.55


def _fitted(strokes: np.ndarray) -> np.ndarray:
    """Returns float32 [28, 28]: what is on the picture, as large as it can be."""
    if strokes.shape == (SIDE, SIDE):
        return strokes
    top, bottom, left, right = _bounds(strokes > EDGE * strokes.max())
    middle = (top + bottom) / 2, (left + right) / 2
    return _resampled(strokes, middle, SIDE / 2, max(bottom - top, right - left) / BOX["fit"])


def _bounds(mask: np.ndarray) -> Tuple[int, int, int, int]:
    """Returns top, bottom, left and right, the second of each pair exclusive, of what is true."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def _centre_of_mass(mask: np.ndarray, strokes: np.ndarray) -> Tuple[float, float]:
    """Returns y and x; the middle of the first pixel lies at 0.5."""
    weights = np.where(mask, strokes, 0)
    y, x = weights.sum(axis=1), weights.sum(axis=0)
    total = y.sum()
    return float(y @ np.arange(len(y)) / total) + 0.5, float(x @ np.arange(len(x)) / total) + 0.5


def _resampled(strokes: np.ndarray, centre: Tuple[float, float], place: float, scale: float) -> np.ndarray:
    """Returns float32 [28, 28]: `scale` pixels made one, so that `centre`, (y, x), comes to (place, place)."""
    rows, columns = (_resampling(size, at, place, scale) for size, at in zip(strokes.shape, centre))
    return rows @ strokes @ columns.T


def _resampling(size: int, centre: float, place: float, scale: float) -> np.ndarray:
    """Returns float32 [28, size]: the share of each of `size` pixels in each of 28, `scale` of them wide, that lie so
    that `centre` comes to `place`. Each averages what it covers; what lies outside is 0."""
    width = max(scale, 1.0)
    middles = centre + (np.arange(SIDE, dtype=np.float32) + 0.5 - place)[:, np.newaxis] * scale
    pixels = np.arange(size, dtype=np.float32)
    covered = np.minimum(pixels + 1, middles + width / 2) - np.maximum(pixels, middles - width / 2)
    return np.clip(covered, 0, 1) / width


def _thickness(mask: np.ndarray) -> float:
    """Returns the mean thickness of strokes in pixels: twice their area by the length of their outline, which is
    pi / 4 of the changes met along all rows and columns (Crofton's formula)."""
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
    cell = max(1, max(mask.shape) // 40)
    rows, columns = np.arange(0, mask.shape[0], cell), np.arange(0, mask.shape[1], cell)
    amounts = np.add.reduceat(np.add.reduceat(np.where(mask, strokes, 0), rows, axis=0), columns, axis=1)
    parts = _parts({(int(y), int(x)) for y, x in zip(*np.nonzero(amounts))})
    inks = [sum(amounts[place] for place in part) for part in parts]
    keep = np.zeros(amounts.shape, bool)
    for part, amount in zip(parts, inks):
        if amount >= SPECK * max(inks):
            keep[tuple(zip(*part))] = True
    kept = keep.repeat(cell, axis=0).repeat(cell, axis=1)[: mask.shape[0], : mask.shape[1]]
    # Faint edges reach into cells beside, which hold nothing: only what was dropped is wiped out.
    dropped = ~kept & (amounts > 0).repeat(cell, axis=0).repeat(cell, axis=1)[: mask.shape[0], : mask.shape[1]]
    return mask & kept, np.where(dropped, 0, strokes)


def _has_gap(inked: np.ndarray) -> bool:
    return np.count_nonzero(inked[1:] != inked[:-1]) > 2 - int(inked[0]) - int(inked[-1])


def _parts(places: Set[Place]) -> List[List[Place]]:
    """Returns the connected parts of a set of (y, x), neighbours by a side or a corner."""
    parts = []
    while places:
        part = [places.pop()]
        for y, x in part:
            beside = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & places
            places -= beside
            part.extend(beside)
        parts.append(part)
    return parts
