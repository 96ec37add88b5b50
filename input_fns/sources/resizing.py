"""Images in another size."""

import numpy as np


def fill(target: np.ndarray, images: np.ndarray) -> None:
    """Copies images into an array, resized to its height and width if they differ: bilinear and antialiased.

    Args:
        target: uint8 [n, height, width, channels].
        images: uint8 [n, any height, any width, channels].
    """
    if target.shape == images.shape:
        target[:] = images
        return
    from PIL import Image

    _, height, width, channels = target.shape
    for place, image in zip(target, images):
        plane = Image.fromarray(image[..., 0] if channels == 1 else image)
        resized = plane.resize((width, height), Image.Resampling.BILINEAR)
        place[:] = np.asarray(resized).reshape(height, width, channels)
