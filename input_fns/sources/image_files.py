"""One image file to the array that networks are trained on. Uses only Pillow and NumPy.

A picture becomes an image as `predict --preprocess resize` makes one: the whole picture, upright, resized if need be.
"""

import contextlib
import os
import stat
import warnings
from typing import IO, Iterator, NamedTuple, Optional, Tuple

import numpy as np
from PIL import Image

from input_fns.errors import OneLineError, reason
from input_fns.sources.request import LARGEST_SIDE

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".bmp", ".webp")
MAX_PIXELS = 100_000_000  # 400 MB when decoded; the photographs of phones have 12 to 50 million
TOO_LARGE = f"is too large: at most {MAX_PIXELS:,} pixels are decoded"
MAX_BYTES = 1 << 28
VISIBLE = 8  # of 255: a picture with nothing brighter than this is black
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


# The colours of a picture, of mode L, RGB or F in [0, 1], and its opacity, of mode L, or None if it is opaque.
Planes = Tuple[Image.Image, Optional[Image.Image]]


class ImageFileError(OneLineError):
    """A file holds no image that can be used: the text says why, and does not name the file."""


class Size(NamedTuple):
    """Of the images that files become, in pixels."""

    height: int
    width: int
    resized: bool  # whether images of other sizes are resized, or refused


def read_image(path: str, size: Optional[Size]) -> np.ndarray:
    """Returns the image of a file, uint8 [height, width, 1], or [height, width, 3] unless red = green = blue.

    A picture of 16 bits a channel is scaled to 8. A transparent one is composited over black. Of an animated one the
    first frame is taken. EXIF's orientation is applied.

    Args:
        path: Of the file.
        size: Of the image. None takes any size.

    Raises:
        ImageFileError: The file cannot be read, or is not an image, or is damaged, or too large, or of another size.
    """
    try:
        with errors_of_one_file(), open(path, "rb", opener=open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageFileError("is not a regular file")
            colours, alpha = upright(opened(file, status.st_size))
    except ImageFileError as error:
        raise ImageFileError(f"{error}; repair or remove it") from error
    with errors_of_one_file():
        _check_size(colours, size)
        return _array(*resized(colours, alpha, size[:2] if size else (colours.height, colours.width)))


@contextlib.contextmanager
def errors_of_one_file() -> Iterator[None]:
    """A context for the work on one image file, which silences Pillow's warnings.

    Raises:
        ImageFileError: In place of whatever the work raises.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's warnings about a file add nothing to the result
            yield
    except ImageFileError:
        raise
    except Image.UnidentifiedImageError:
        raise ImageFileError(f"is not an image ({', '.join(FORMATS)}), or its beginning is damaged") from None
    except Image.DecompressionBombError:
        raise ImageFileError(TOO_LARGE) from None
    except OSError as error:
        why = f"cannot be read ({error.strerror})" if error.strerror else f"is damaged ({reason(error)})"
        raise ImageFileError(why) from error
    except MemoryError:
        raise ImageFileError("is too large for this machine's memory") from None
    except Exception as error:  # Pillow documents no set of errors, and raises many for damaged files
        raise ImageFileError(f"is damaged ({reason(error)})") from error


def open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))  # opening a named pipe would wait for its writer


def opened(file: IO[bytes], byte_count: int) -> Image.Image:
    """Returns the image of a file, whose pixels are not decoded yet.

    Args:
        file: At its beginning.
        byte_count: Bytes in the file.

    Raises:
        ImageFileError: The file is empty, or has too many bytes or pixels. Pillow raises other errors.
    """
    if not 0 < byte_count <= MAX_BYTES:
        raise ImageFileError(f"has {byte_count:,} bytes; at most {MAX_BYTES:,} are read" if byte_count else "is empty")
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise ImageFileError(TOO_LARGE)
    return image


def upright(image: Image.Image, side: Optional[int] = None) -> Planes:
    """Loads an open image and returns it as EXIF turns it, reduced by a whole factor to a longer side in pixels."""
    image.load()  # before its EXIF is read: in a PNG, that may follow the pixels
    turn = UPRIGHT.get(_orientation(image))
    colours, alpha = _planes(image, -(-max(image.size) // side) if side else 1)
    return (colours, alpha) if turn is None else (colours.transpose(turn), alpha and alpha.transpose(turn))


def _check_size(colours: Image.Image, size: Optional[Size]) -> None:
    if size is None and max(colours.size) > LARGEST_SIDE:
        text = f"has {colours.height}x{colours.width} pixels, and images have at most {LARGEST_SIDE} a side"
        raise ImageFileError(f"{text}; resize all images with --image_size, as in --image_size 64")
    if size and not size.resized and (colours.height, colours.width) != size[:2]:
        text = f"has {colours.height}x{colours.width} pixels (height x width), and the first image {size[0]}x{size[1]}"
        raise ImageFileError(f"{text}; resize all images with --image_size, as in --image_size {size[0]}x{size[1]}")


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info and image.format != "PNG":  # a PNG may hold it in a text chunk
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF says nothing, and the image is readable without it
        return 1


def _planes(image: Image.Image, factor: int) -> Planes:
    if image.mode.startswith(("I", "F")):  # 16 bits a pixel, which some versions of Pillow read as 32
        image = Image.fromarray(np.asarray(image).astype(np.float32) / 65535)
        return image.reduce(factor) if factor > 1 else image, None
    if image.has_transparency_data:
        # Pillow reduces with colours weighted by opacity, so that transparent pixels do not bleed.
        image = image.convert("RGBA").reduce(factor)
        alpha = image.getchannel("A")
        return image.convert("RGB"), alpha if alpha.getextrema() != (255, 255) else None
    if image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    return image.reduce(factor) if factor > 1 else image, None


def resized(colours: Image.Image, alpha: Optional[Image.Image], size: Tuple[int, int]) -> Planes:
    """Resizes a whole picture to a height and width, bilinear and antialiased.

    Raises:
        ImageFileError: Over black, nothing is left of it.
    """
    _check_visible(colours, alpha)
    if (colours.height, colours.width) == size:
        return colours, alpha
    if alpha is not None:  # otherwise the colours of transparent pixels would bleed into opaque ones
        colours, alpha = Image.composite(colours, Image.new(colours.mode, colours.size), alpha), None
    return colours.resize(size[::-1], Image.Resampling.BILINEAR), alpha


def _check_visible(colours: Image.Image, alpha: Optional[Image.Image]) -> None:
    if alpha is None or not np.asarray(alpha).any():
        return
    over_black = Image.composite(colours, Image.new(colours.mode, colours.size), alpha)
    if np.asarray(over_black).max() <= VISIBLE:
        raise ImageFileError(
            "is black on a transparent background, which counts as black: nothing is left of it; "
            "give it a background or remove it"
        )


def _array(colours: Image.Image, alpha: Optional[Image.Image]) -> np.ndarray:
    """Returns colours over black, uint8 [height, width, 1 or 3]."""
    values = np.array(colours)
    if alpha is not None or colours.mode == "F":
        fractions = values if colours.mode == "F" else values.astype(np.float32) / 255
        if alpha is not None:
            fractions = fractions * (np.asarray(alpha)[..., np.newaxis].astype(np.float32) / 255)
        values = np.rint(255 * np.clip(fractions, 0, 1)).astype(np.uint8)
    if values.ndim == 2:
        return values[..., np.newaxis]
    is_grey = np.array_equal(values[..., 0], values[..., 1]) and np.array_equal(values[..., 0], values[..., 2])
    return values[..., :1] if is_grey else values
