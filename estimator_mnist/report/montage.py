"""Arranges many small images in the rows of one large image."""

import numpy as np


def montage(images: np.ndarray, columns: int, gap: int = 0, fill: float = 0) -> np.ndarray:
    """Returns images arranged in rows.

    Args:
        images: [n, height, width], of any dtype.
        columns: Images in a row.
        gap: Pixels between neighbours.
        fill: The value of the gaps and of the cells that stay empty.

    Returns:
        [rows * (height + gap) - gap, columns * (width + gap) - gap], of the images' dtype.
    """
    count, height, width = images.shape
    rows = -(-count // columns)
    cells = np.full((rows * columns, height + gap, width + gap), fill, images.dtype)
    cells[:count, :height, :width] = images
    grid = cells.reshape(rows, columns, height + gap, width + gap).swapaxes(1, 2)
    with_margin = grid.reshape(rows * (height + gap), columns * (width + gap))
    return with_margin[: with_margin.shape[0] - gap, : with_margin.shape[1] - gap]
