"""How the images of a data set were prepared, decided from their pixels: a user's picture must be prepared alike.

- "mnist": digits like MNIST's, light on dark, that fill a box of 20 of 28 pixels and have their centre of mass in the
  middle (LeCun et al. 1998, section III.A).
- "fit": one channel on a dark background, as Fashion-MNIST: what the picture shows fills the image.
- "resize": everything else, as colours and light backgrounds: the picture as it is, in the size of the image.
"""

import numpy as np

EXAMPLES = 1000  # looked at, evenly spread over the training split
USUALLY = 0.95  # share of the images that must meet a criterion: a data set may hold a few odd ones
DARK = 16  # of 255
EDGE = 51  # of 255: a fifth, where a stroke ends
BOX = 20 / 28  # of the image's side
OFF_CENTRE = 0.55  # pixels: MNIST's digits were moved by whole pixels, which leaves up to half a pixel


def preparation_of(images: np.ndarray) -> str:
    """Returns "mnist", "fit" or "resize" for images, uint8 [n, height, width, channels] with n > 0."""
    chosen = np.linspace(0, len(images) - 1, min(len(images), EXAMPLES)).astype(np.int64)
    shown = images[chosen]
    if shown.shape[-1] != 1 or not _has_dark_border(shown[..., 0]):
        return "resize"
    return "mnist" if _is_like_mnist(shown[..., 0]) else "fit"


def _has_dark_border(images: np.ndarray) -> bool:
    border = np.concatenate([images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]], axis=1)
    return bool(np.mean(np.median(border, axis=1) <= DARK) >= USUALLY)


def _is_like_mnist(images: np.ndarray) -> bool:
    height, width = images.shape[1:]
    inked = images[(images > EDGE).any(axis=(1, 2))]
    if height != width or not len(inked):
        return False
    mask, box = inked > EDGE, round(BOX * width)
    longer_side = np.maximum(_extent(mask.any(axis=2)), _extent(mask.any(axis=1)))
    fills_its_box = np.mean(longer_side <= box) >= USUALLY and np.median(longer_side) >= box - 1
    total = inked.sum(axis=(1, 2), dtype=np.float64)
    off_centre = [
        # The middle of pixel 14 of 28, counted from 0.
        np.abs(inked.sum(axis=axis, dtype=np.float64) @ (np.arange(width) + 0.5) / total - (width / 2 + 0.5))
        for axis in (1, 2)
    ]
    return bool(fills_its_box and np.mean(np.maximum(*off_centre) <= OFF_CENTRE) >= USUALLY)


def _extent(inked: np.ndarray) -> np.ndarray:
    """Returns the pixels from the first to the last that is true in each row, int [n]."""
    return inked.shape[1] - inked[:, ::-1].argmax(axis=1) - inked.argmax(axis=1)
