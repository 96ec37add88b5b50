"""Foreground and background of a picture: how much each pixel stands out, whatever the colours and the light."""

import math
from typing import Tuple, Union

import numpy as np

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
CONTRAST = 0.04  # of black to white: less than this counts as background
EVEN = 0.04  # brightness by which an even background may differ along the border


class NoForegroundError(Exception):
    """Nothing stands out from the background."""


def brightness(colours: np.ndarray, widest: bool) -> np.ndarray:
    """Returns one plane, float32 [height, width], of colours, float32 [height, width, 3] in [0, 1].

    The plane is the luminance or, with `widest`, the direction in which the colours differ most: red on green can have
    no contrast in luminance. On a picture in black and white both are the same.
    """
    if not widest:
        return colours @ LUMINANCE
    pixels = colours.reshape(-1, 3) - colours[0, 0]
    direction = np.linalg.eigh(pixels.T @ pixels)[1][:, -1]
    return (pixels @ (direction / math.sqrt(3))).reshape(colours.shape[:2])


def without_transparency(plane: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Returns a plane and its opacity, float32 [height, width] both, as one plane.

    Transparent pixels take the brightness at the rim of the opaque ones, whether that is paper or a card. Strokes
    alone, all of one brightness, are replaced by their opacity.
    """
    opaque = alpha >= 0.5
    transparent = np.pad(~opaque, 1, mode="edge")
    rim = opaque & (transparent[:-2, 1:-1] | transparent[2:, 1:-1] | transparent[1:-1, :-2] | transparent[1:-1, 2:])
    if not rim.any():  # all pixels are opaque, or none is
        return plane if opaque.any() else alpha
    around = np.median(plane[rim])
    if np.quantile(np.abs(plane[opaque] - around), 0.999) < 0.15:
        return alpha
    return around + alpha * (plane - around)


def contrast(plane: np.ndarray, full_range: bool) -> np.ndarray:
    """Returns how much each pixel stands out, float32 [height, width].

    0 is the background. 1 is a full stroke or, without `full_range`, the distance from black to white.

    Args:
        plane: float32 [height, width].
        full_range: Whether to stretch the result, so that a full stroke is 1 and the background's noise 0.

    Raises:
        NoForegroundError: Nothing stands out.
    """
    background, noise = _background(plane)
    rest = plane - background
    step = max(1, max(rest.shape) // 200)
    sample = rest[::step, ::step]
    if (sample * np.abs(sample)).sum() < 0:
        np.negative(rest, out=rest)
    peak = rest.max()
    if peak < max(CONTRAST, 5 * noise):
        raise NoForegroundError("nothing stands out from its background" if peak > 0 else "all of its pixels are alike")
    if not full_range:
        return rest
    if noise:  # then the brightest pixel is an outlier
        strokes = rest[rest > peak / 2]
        peak = np.partition(strokes, len(strokes) * 9 // 10)[len(strokes) * 9 // 10]
    floor = min(3 * noise, peak / 2)
    rest -= floor
    rest *= 1 / (peak - floor)
    return np.clip(rest, 0, 1, out=rest)


def _background(plane: np.ndarray) -> Tuple[Union[float, np.ndarray], float]:
    """Returns the brightness of the background, a scalar or one for each pixel, and its noise's standard deviation."""
    border = np.sort(np.concatenate([plane[0], plane[-1], plane[1:-1, 0], plane[1:-1, -1]]))
    # The most common brightness of the border: where three tenths of it lie closest together. A picture cropped close
    # to its digit has two such brightnesses, and more border pixels of the background's.
    part = max(1, len(border) * 3 // 10)
    widths = border[part:] - border[:-part]
    densest = np.flatnonzero(widths <= widths.min() + 0.01)
    usual = float(border[densest[len(densest) // 2] + part // 2])
    if border[len(border) * 9 // 10] - border[len(border) // 10] < EVEN or widths.min() < 0.01:
        return usual, float(widths.min()) / 0.77  # three tenths of normal noise lie within 0.77 standard deviations
    return _uneven_background(plane, usual)


def _uneven_background(plane: np.ndarray, start: float) -> Tuple[np.ndarray, float]:
    """Returns a background that varies slowly, as light does on paper, and its noise's standard deviation.

    The background is the quadratic that most pixels lie near. It is refitted eight times by least squares, each time
    to the pixels near the previous fit.
    """

    def terms(shape: Tuple[int, ...], step: int) -> np.ndarray:
        y, x = np.meshgrid(*(np.arange(0, size, step, dtype=np.float32) / size - 0.5 for size in shape), indexing="ij")
        return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)

    step = max(1, max(plane.shape) // 48)
    values, basis = plane[::step, ::step].ravel(), terms(plane.shape, step).reshape(-1, 6)
    fit = np.full_like(values, start)
    for _ in range(8):
        distance = np.abs(values - fit)
        near = distance <= max(3.3 * np.median(distance), 0.03)  # 3.3 medians: 2.2 standard deviations of noise
        weights = np.linalg.lstsq(basis[near], values[near], rcond=None)[0]
        fit = basis @ weights
    return terms(plane.shape, 1) @ weights, 1.48 * float(np.median(distance[near]))
