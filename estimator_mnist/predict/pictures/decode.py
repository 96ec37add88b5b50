"""One image file, of any size and mode, to an image as networks take it: uint8 [height, width], light on dark.

Uses only Pillow and NumPy, so that the processes that read files need not load TensorFlow.
"""

import os
import stat
import warnings
from io import BytesIO
from typing import IO, NamedTuple, Optional, Tuple, Union

import numpy as np
from PIL import Image

from estimator_mnist.predict.pictures import center_digit, foreground
from input_fns.errors import OneLineError, reason

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".webp")
MAX_PIXELS = 100_000_000  # 400 MB when decoded; the photographs of phones have 12 to 50 million
MAX_BYTES = 1 << 28
# Pictures are first reduced to a longer side of 200 to 400 pixels. A digit that fills a tenth of it is still large
# enough, and a photograph of millions of pixels takes milliseconds once it is decoded.
WORKING_SIDE = 400
ORIENTATION = 0x0112  # EXIF's tag
# What makes a picture with each value of that tag upright; 1 already is.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class PictureError(OneLineError):
    """A file holds no image that can be classified: the text says why, and does not name the file."""


class Preparation(NamedTuple):
    """How pictures become images for a network.

    "mnist" cuts out the foreground, scales it so that its longer side is 20 of 28 pixels, and places it by its centre
    of mass. "fit" scales the foreground to the full size of the image. Both return light on dark. "none" takes pictures
    of exactly the right size as they are.
    """

    preprocess: str  # "mnist", "fit" or "none"
    size: center_digit.Size  # height and width of the images


def prepare(picture: Union[str, bytes], preparation: Preparation) -> np.ndarray:
    """Reads and prepares a picture.

    Args:
        picture: The path of a file, or the content of one.
        preparation: How to prepare it.

    Returns:
        uint8 [*preparation.size].

    Raises:
        PictureError: The file cannot be read, or is not an image, or is damaged or too large, or the picture is empty.
    """
    preprocess, size = preparation
    if preprocess == "none":
        return _unprepared(*_read(picture, required_size=size))
    colours, alpha = _read(picture, required_size=None)
    try:
        return center_digit.prepare(colours, alpha, preprocess, size)
    except foreground.NoForegroundError as error:
        raise PictureError(str(error)) from None


def _read(
    picture: Union[str, bytes], required_size: Optional[center_digit.Size]
) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    """Returns colours, float32 [height, width] or [height, width, 3] in [0, 1], and opacity, [height, width] or None.

    Args:
        picture: The path of a file, or the content of one.
        required_size: The only size that is accepted; None accepts any.

    Raises:
        PictureError: See `prepare`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's warnings about a file add nothing to the result
            if isinstance(picture, bytes):
                return _decode(BytesIO(picture), len(picture), required_size)
            with open(picture, "rb", opener=_open_without_waiting) as file:
                return _decode(file, _bytes_of(file), required_size)
    except PictureError:
        raise
    except Image.UnidentifiedImageError:
        raise PictureError(f"is not an image ({', '.join(FORMATS)}), or its beginning is damaged") from None
    except Image.DecompressionBombError:
        raise PictureError(f"is too large: at most {MAX_PIXELS:,} pixels are decoded") from None
    except OSError as error:
        raise PictureError(error.strerror or f"is damaged ({reason(error)})") from error
    except MemoryError:
        raise PictureError("is too large for this machine's memory") from None
    except Exception as error:  # Pillow documents no set of errors, and raises many for damaged files
        raise PictureError(f"is damaged ({reason(error)})") from error


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # opening a named pipe would wait for its writer


def _bytes_of(file: IO[bytes]) -> int:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("is not a regular file; to read a pipe, redirect it to standard input and name -")
    return status.st_size


def _decode(
    file: IO[bytes], byte_count: int, required_size: Optional[center_digit.Size]
) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    if not 0 < byte_count <= MAX_BYTES:
        raise PictureError(f"has {byte_count:,} bytes; at most {MAX_BYTES:,} are read" if byte_count else "is empty")
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise PictureError(f"is too large: at most {MAX_PIXELS:,} pixels are decoded")
    if required_size and (image.height, image.width) != required_size:
        height, width = required_size
        raise PictureError(f"is {image.width}x{image.height}; --preprocess none takes {width}x{height} only")
    # A JPEG can be decoded at a half, quarter or eighth of its size, in a fraction of the time.
    image.draft(image.mode, (WORKING_SIDE, WORKING_SIDE))
    image.load()  # before its EXIF is read: in a PNG, that may follow the pixels
    turn = UPRIGHT.get(_orientation(image))
    colours, alpha = _planes(image)
    if turn is not None:
        colours, alpha = colours.transpose(turn), alpha and alpha.transpose(turn)
    return _array(colours), None if alpha is None else _array(alpha)


def _unprepared(colours: np.ndarray, alpha: Optional[np.ndarray]) -> np.ndarray:
    plane = colours if colours.ndim == 2 else colours @ foreground.LUMINANCE
    if alpha is not None:  # transparent pixels become dark, like the background of the network's images
        plane = plane * alpha
    return np.rint(255 * np.clip(plane, 0, 1)).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info and image.format != "PNG":  # a PNG may hold it in a text chunk
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF says nothing, and the image is readable without it
        return 1


def _planes(image: Image.Image) -> Tuple[Image.Image, Optional[Image.Image]]:
    """Returns the colours, of mode L, RGB or F in [0, 1], and the opacity, L or None, reduced to WORKING_SIDE."""
    factor = -(-max(image.size) // WORKING_SIDE)
    if image.mode.startswith(("I", "F")):  # 16 bits a pixel, which some versions of Pillow read as 32
        values = np.asarray(image).astype(np.float32) / 65535
        image = Image.fromarray(values)
        return image.reduce(factor) if factor > 1 else image, None
    if image.has_transparency_data:
        # Pillow reduces with colours weighted by opacity, so that transparent pixels do not bleed.
        image = image.convert("RGBA").reduce(factor)
        alpha = image.getchannel("A")
        return image.convert("RGB"), alpha if alpha.getextrema() != (255, 255) else None
    if image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image.reduce(factor) if factor > 1 else image, None


def _array(image: Image.Image) -> np.ndarray:
    """Returns an image as float32 in [0, 1], [height, width] or [height, width, 3]."""
    values = np.array(image, np.float32)
    if image.mode != "F":
        values /= 255
    return values
