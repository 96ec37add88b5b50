"""Many small images as one."""

import numpy as np


def montage(images: np.ndarray, columns: int, gap: int = 0, fill: float = 0) -> np.ndarray:
    """Returns images, [n, height, width], in the rows of one, [rows * (height + gap) - gap, ...], of their dtype."""
    count, height, width = images.shape
    rows = -(-count // columns)
    cells = np.full((rows * columns, height + gap, width + gap), fill, images.dtype)
    cells[:count, :height, :width] = images
    grid = cells.reshape(rows, columns, height + gap, width + gap).swapaxes(1, 2)
    whole = grid.reshape(rows * (height + gap), columns * (width + gap))
    return whole[: whole.shape[0] - gap, : whole.shape[1] - gap]
