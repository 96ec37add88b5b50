"""One image file, of any size and mode, to an image as the networks take it: uint8 [28, 28], light on dark.

Pillow and NumPy only, so that the processes that read files need not load TensorFlow.
"""

import os
import stat
import warnings
from io import BytesIO
from typing import IO, Optional, Tuple, Union

import numpy as np
from PIL import Image

from estimator_mnist.predict.pictures import center_digit, foreground
from input_fns.errors import OneLineError, reason

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".webp")
MAX_PIXELS = 100_000_000  # 400 MB when decoded; telephones' usual pictures have 12 to 50 million
MAX_BYTES = 1 << 28
# The longer side of what is worked on is half of this to all of it: a digit that fills a tenth of it is still as large
# as is needed, and a photograph of millions of pixels takes milliseconds after it is decoded.
WORKING_SIDE = 400
ORIENTATION = 0x0112  # EXIF's tag
# What each value of that tag asks for; 1 is upright.
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


def prepare(picture: Union[str, bytes], preprocess: str) -> np.ndarray:
    """Reads and prepares an image.

    Args:
        picture: The path of a file, or the content of one.
        preprocess: "mnist": what stands on the background is cut out, scaled so that its longer side is 20 pixels, and
            placed by its centre of mass, light on dark. "fit": scaled so that its longer side is 28 pixels, light on
            dark. "none": taken as it is, which has to be 28x28.

    Returns:
        uint8 [28, 28].

    Raises:
        PictureError: It cannot be read, is no image, damaged, too large, or nothing is to be seen on it.
    """
    colours, alpha = _decoded(picture, preprocess != "none")
    if preprocess == "none":
        return _as_it_is(colours, alpha)
    try:
        return center_digit.prepare(colours, alpha, preprocess)
    except foreground.NothingThereError as error:
        raise PictureError(str(error)) from None


def _decoded(picture: Union[str, bytes], any_size: bool) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    """Returns colours, float32 [height, width] or [height, width, 3] in [0, 1], and opacity, [height, width] or None.

    Raises:
        PictureError: See `prepare`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow thinks of a file is said by the result
            if isinstance(picture, bytes):
                return _decode(BytesIO(picture), len(picture), any_size)
            with open(picture, "rb", opener=_open_without_waiting) as file:
                return _decode(file, _size(file), any_size)
    except PictureError:
        raise
    except Image.UnidentifiedImageError:
        raise PictureError(f"is no image ({', '.join(FORMATS)}), or its beginning is damaged") from None
    except Image.DecompressionBombError:
        raise PictureError(f"is too large: at most {MAX_PIXELS:,} pixels are decoded") from None
    except OSError as error:
        raise PictureError(error.strerror or f"is damaged ({reason(error)})") from error
    except MemoryError:
        raise PictureError("is too large for this machine's memory") from None
    except Exception as error:  # Pillow documents no set of errors, and has many for damaged files
        raise PictureError(f"is damaged ({reason(error)})") from error


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a named pipe would wait for its writer


def _size(file: IO[bytes]) -> int:
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        raise PictureError("is no file with content of its own; pipes are read with -")
    return status.st_size


def _decode(file: IO[bytes], size: int, any_size: bool) -> Tuple[np.ndarray, Optional[np.ndarray]]:
    if not 0 < size <= MAX_BYTES:
        raise PictureError(f"has {size:,} bytes; at most {MAX_BYTES:,} are read" if size else "is empty")
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise PictureError(f"is too large: at most {MAX_PIXELS:,} pixels are decoded")
    if not any_size and image.size != (center_digit.SIDE, center_digit.SIDE):
        raise PictureError(f"is {image.width}x{image.height}; --preprocess none takes 28x28 only")
    # JPEGs can be decoded at a half, quarter or eighth of their size, in a fraction of the time.
    image.draft(image.mode, (WORKING_SIDE, WORKING_SIDE))
    image.load()  # before anything is asked of it: in a PNG, EXIF may come after the pixels
    turn = UPRIGHT.get(_orientation(image))
    colours, alpha = _planes(image)
    if turn is not None:
        colours, alpha = colours.transpose(turn), alpha and alpha.transpose(turn)
    return _array(colours), None if alpha is None else _array(alpha)


def _as_it_is(colours: np.ndarray, alpha: Optional[np.ndarray]) -> np.ndarray:
    plane = colours if colours.ndim == 2 else colours @ foreground.LUMINANCE
    if alpha is not None:  # what is transparent is dark, as the background of a ready image is
        plane = plane * alpha
    return np.rint(255 * np.clip(plane, 0, 1)).astype(np.uint8)


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info and image.format != "PNG":  # in PNGs it may lie in a text chunk
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF says nothing, and takes nothing from the image
        return 1


def _planes(image: Image.Image) -> Tuple[Image.Image, Optional[Image.Image]]:
    """Returns the colours, of mode L, RGB or F in [0, 1], and opacity, L or None; neither much over WORKING_SIDE."""
    factor = -(-max(image.size) // WORKING_SIDE)
    if image.mode.startswith(("I", "F")):  # 16 bits a pixel, by versions of Pillow read as 16 or 32
        values = np.asarray(image).astype(np.float32) / 65535
        image = Image.fromarray(values)
        return image.reduce(factor) if factor > 1 else image, None
    if image.has_transparency_data:
        # Pillow reduces with colours weighted by opacity, so that what is transparent does not bleed.
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
