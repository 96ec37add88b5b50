"""One picture, of any size and mode, to an image as networks take it: uint8 [height, width, channels].

Uses only Pillow and NumPy, so that the processes that read files need not load TensorFlow.
"""

import os
import stat
from io import BytesIO
from typing import IO, NamedTuple, Optional, Tuple, Union

import numpy as np
from PIL import Image

from estimator_mnist.predict.pictures import center_digit, foreground
from input_fns.sources import image_files
from input_fns.sources.image_files import ImageFileError, Planes

# Pictures whose foreground is searched are first reduced to a longer side of 200 to 400 pixels, or to more for networks
# of large images. A digit that fills a tenth of it is still large enough, and a photograph of millions of pixels takes
# milliseconds once it is decoded.
WORKING_SIDE = 400
Shape = Tuple[int, int, int]


class Preparation(NamedTuple):
    """How pictures become images for a network.

    "mnist" cuts out the foreground, scales it so that its longer side is 20 of 28 pixels, and places it by its centre
    of mass. "fit" scales the foreground to the full size of the image. Both return light on dark, in grey. "resize"
    scales the whole picture to the size of the image, neither cropped nor inverted. "none" takes pictures of exactly
    the right size as they are.
    """

    preprocess: str  # "mnist", "fit", "resize" or "none"
    image_shape: Shape  # height, width and channels, 1 (grey) or 3 (RGB)

    @property
    def size(self) -> center_digit.Size:
        return self.image_shape[:2]

    @property
    def side(self) -> Optional[int]:
        """The longer side, in pixels, that pictures may be reduced to before they are prepared; None: not at all."""
        return None if self.preprocess in ("resize", "none") else max(WORKING_SIDE, 2 * max(self.size))


def prepare(picture: Union[str, bytes, Image.Image], preparation: Preparation) -> np.ndarray:
    """Reads and prepares a picture.

    Args:
        picture: The path of a file, the content of one, or an image of Pillow, which is not changed.
        preparation: How to prepare it.

    Returns:
        uint8 [*preparation.image_shape].

    Raises:
        ImageFileError: The file cannot be read, is no image, is damaged or too large, or nothing is on the picture.
    """
    with image_files.errors_of_one_file():
        colours, alpha = _read(picture, preparation)
    if preparation.preprocess == "resize":  # as images from a folder are made for training
        colours, alpha = image_files.resized(colours, alpha, preparation.size)
    values, opacity = _array(colours), None if alpha is None else _array(alpha)
    if preparation.preprocess in ("resize", "none"):
        return _unprepared(values, opacity, preparation.image_shape)
    try:
        return center_digit.prepare(values, opacity, preparation.preprocess, preparation.size)[..., np.newaxis]
    except foreground.NoForegroundError as error:
        raise ImageFileError(str(error)) from None


def _read(picture: Union[str, bytes, Image.Image], preparation: Preparation) -> Planes:
    if isinstance(picture, Image.Image):
        return _upright(picture.copy(), preparation)
    if isinstance(picture, bytes):
        return _decode(BytesIO(picture), len(picture), preparation)
    with open(picture, "rb", opener=image_files.open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageFileError("is not a regular file; to read a pipe, redirect it to standard input and name -")
        return _decode(file, status.st_size, preparation)


def _decode(file: IO[bytes], byte_count: int, preparation: Preparation) -> Planes:
    image = image_files.opened(file, byte_count)
    if preparation.side:  # a JPEG can be decoded at a half, quarter or eighth of its size, in a fraction of the time
        image.draft(image.mode, (preparation.side, preparation.side))
    return _upright(image, preparation)


def _upright(image: Image.Image, preparation: Preparation) -> Planes:
    colours, alpha = image_files.upright(image, preparation.side)
    height, width = preparation.size
    if preparation.preprocess == "none" and colours.size != (width, height):
        raise ImageFileError(f"is {colours.width}x{colours.height}; --preprocess none takes {width}x{height} only")
    return colours, alpha


def _unprepared(colours: np.ndarray, alpha: Optional[np.ndarray], image_shape: Shape) -> np.ndarray:
    """Returns a picture of the right size in the colours of a network's images, uint8 [*image_shape]."""
    if image_shape[2] == 1 and colours.ndim == 3:
        colours = colours @ foreground.LUMINANCE
    planes = colours.reshape(*image_shape[:2], -1)
    if alpha is not None:  # transparent pixels become dark, like the background of MNIST's images
        planes = planes * alpha[..., np.newaxis]
    return np.broadcast_to(np.rint(255 * np.clip(planes, 0, 1)).astype(np.uint8), image_shape)


def _array(image: Image.Image) -> np.ndarray:
    """Returns an image as float32 in [0, 1], [height, width] or [height, width, 3]."""
    values = np.array(image, np.float32)
    if image.mode != "F":
        values /= 255
    return values
