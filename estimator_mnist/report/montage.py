"""Small images: as they are shown, at the size they are shown in, and arranged in the rows of one large image."""

from typing import Tuple

import numpy as np
from PIL import Image


def montage(images: np.ndarray, columns: int, gap: int = 0, fill: float = 0) -> np.ndarray:
    """Returns images arranged in rows.

    Args:
        images: [n, height, width] or [n, height, width, channels], of any dtype.
        columns: Images in a row.
        gap: Pixels between neighbours.
        fill: The value of the gaps and of the cells that stay empty.

    Returns:
        [rows * (height + gap) - gap, columns * (width + gap) - gap], with the images' channels if any, of their dtype.
    """
    count, height, width, *channels = images.shape
    rows = -(-count // columns)
    cells = np.full((rows * columns, height + gap, width + gap, *channels), fill, images.dtype)
    cells[:count, :height, :width] = images
    grid = cells.reshape(rows, columns, height + gap, width + gap, *channels).swapaxes(1, 2)
    with_margin = grid.reshape(rows * (height + gap), columns * (width + gap), *channels)
    return with_margin[: with_margin.shape[0] - gap, : with_margin.shape[1] - gap]


def as_shown(images: np.ndarray, light_on_dark: bool) -> np.ndarray:
    """Returns images as Pillow takes them.

    Args:
        images: uint8 [n, height, width, channels].
        light_on_dark: Whether they are grey on a dark background: these become negatives, as ink on paper.

    Returns:
        uint8 [n, height, width] of grey images, [n, height, width, 3] of colour images.
    """
    if images.shape[3] == 3:
        return images
    grey = images[..., 0]
    return 255 - grey if light_on_dark else grey


def shrunk(images: np.ndarray, side: int) -> np.ndarray:
    """Returns images whose longer side is at most `side` pixels. Smaller images stay as they are.

    Args:
        images: uint8 [n, height, width] or [n, height, width, 3].
        side: In pixels.
    """
    size = _shrunk_size(images.shape[1:3], side)
    if size == images.shape[1:3]:
        return images
    return np.stack([_resized(image, size, Image.Resampling.BOX) for image in images])


def in_squares(images: np.ndarray, smallest: int, largest: int) -> np.ndarray:
    """Returns images in the middle of white squares of one size.

    Args:
        images: uint8 [n, height, width] or [n, height, width, 3], n at least 1.
        smallest: Side of the square in pixels. Images half as large, or smaller, are enlarged by a whole number.
        largest: Images that are larger are shrunk to it.

    Returns:
        uint8 [n, side, side] or [n, side, side, 3].
    """
    images = shrunk(images, largest)
    factor = max(1, smallest // max(images.shape[1:3]))
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    height, width = images.shape[1:3]
    side = max(height, width, smallest)
    top, left = (side - height) // 2, (side - width) // 2
    squares = np.full((len(images), side, side, *images.shape[3:]), 255, np.uint8)
    squares[:, top : top + height, left : left + width] = images
    return squares


def _shrunk_size(size: Tuple[int, ...], side: int) -> Tuple[int, ...]:
    longest = max(size)
    return size if longest <= side else tuple(max(1, round(length * side / longest)) for length in size)


def _resized(image: np.ndarray, size: Tuple[int, ...], resampling: Image.Resampling) -> np.ndarray:
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), resampling))
