"""Ink and background of a picture: by how much each pixel stands out, whatever the colours and the light."""

import math
from typing import Tuple, Union

import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
CONTRAST = 0.04  # of black to white: what stands out less is taken for background
EVEN = 0.04  # brightness by which an even background may differ along the border


class NothingThereError(Exception):
    """Nothing stands out from the background."""


def brightness(colours: np.ndarray, widest: bool) -> np.ndarray:
    """Returns one plane, float32 [height, width], of colours, float32 [height, width, 3] in [0, 1].

    It is their luminance or, with `widest`, along the direction in which they differ most: red on green may be of one
    luminance. On a picture in black and white both are the same.
    """
    if not widest:
        return colours @ LUMINANCE
    pixels = colours.reshape(-1, 3) - colours[0, 0]
    direction = np.linalg.eigh(pixels.T @ pixels)[1][:, -1]
    return (pixels @ (direction / math.sqrt(3))).reshape(colours.shape[:2])


def without_transparency(plane: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns a plane and its opacity, float32 [height, width] both, as one plane.

    What is transparent goes on in the brightness at the rim of what is seen, be it paper or a card; strokes alone, all
    of one brightness, are their opacity.
    """
    seen = alpha >= 0.5
    hidden = np.pad(~seen, 1, mode="edge")
    rim = seen & (hidden[:-2, 1:-1] | hidden[2:, 1:-1] | hidden[1:-1, :-2] | hidden[1:-1, 2:])
    if not rim.any():  # all is seen, or nothing
        return alpha if not seen.any() else plane
    around = np.median(plane[rim])
    if np.quantile(np.abs(plane[seen] - around), 0.999) < 0.15:
        return alpha
    return around + alpha * (plane - around)


def stand_out(plane: np.ndarray, full_range: bool) -> np.ndarray:
    """Returns by how much each pixel stands out from the background: 0 is background, 1 a full stroke or, without
    `full_range`, the distance from black to white.

    Args:
        plane: float32 [height, width].
        full_range: Whether the full stroke becomes 1, and noise of the background 0.

    Raises:
        NothingThereError: Nothing stands out.
    """
    background, noise = _background(plane)
    rest = plane - background
    every = max(1, max(rest.shape) // 200)
    sample = rest[::every, ::every]
    if (sample * np.abs(sample)).sum() < 0:
        np.negative(rest, out=rest)
    peak = rest.max()
    if peak < max(CONTRAST, 5 * noise):
        raise NothingThereError("nothing stands out from its background" if peak > 0 else "all of its pixels are alike")
    if not full_range:
        return rest
    if noise:  # the brightest pixel is an outlier, then
        strokes = rest[rest > peak / 2]
        peak = np.partition(strokes, len(strokes) * 9 // 10)[len(strokes) * 9 // 10]
    floor = min(3 * noise, peak / 2)
    rest -= floor
    rest *= 1 / (peak - floor)
    return np.clip(rest, 0, 1, out=rest)


def _background(plane: np.ndarray) -> Tuple[Union[float, np.ndarray], float]:
    """Returns the brightness of the background, one or one for each pixel, and the standard deviation of its noise."""
    border = np.sort(np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]]))
    # The brightness that most of the border has: where three tenths of it lie closest together. A picture that is cut
    # close to its digit has two such places, and more of the one for the background.
    part = max(1, len(border) * 3 // 10)
    widths = border[part:] - border[:-part]
    densest = np.flatnonzero(widths <= widths.min() + 0.01)
    usual = float(border[densest[len(densest) // 2] + part // 2])
    if border[len(border) * 9 // 10] - border[len(border) // 10] < EVEN or widths.min() < 0.01:
        return usual, float(widths.min()) / 0.77  # of normal noise, three tenths lie within 0.77 standard deviations
    return _uneven_background(plane, usual)


def _uneven_background(plane: np.ndarray, start: float) -> Tuple[np.ndarray, float]:
    """Returns a background that changes slowly, as light falls on paper, and its noise.

    It is the quadratic that most of the pixels lie near to, by least squares over those near to the one before.
    """

    def terms(shape: Tuple[int, ...], every: int) -> np.ndarray:
        y, x = np.meshgrid(*(np.arange(0, size, every, dtype=np.float32) / size - 0.5 for size in shape), indexing="ij")
        return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)

    every = max(1, max(plane.shape) // 48)
    values, known = plane[::every, ::every].ravel(), terms(plane.shape, every).reshape(-1, 6)
    fitted = np.full_like(values, start)
    for _ in range(8):
        distance = np.abs(values - fitted)
        near = distance <= max(3.3 * np.median(distance), 0.03)  # 3.3 medians: 2.2 standard deviations of noise
        weights = np.linalg.lstsq(known[near], values[near], rcond=None)[0]
        fitted = known @ weights
    return terms(plane.shape, 1) @ weights, 1.48 * float(np.median(distance[near]))
