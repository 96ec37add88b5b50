"""One picture, of any size and mode, to an image as networks take it: uint8 [height, width, channels].

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
# Pictures whose foreground is searched are first reduced to a longer side of 200 to 400 pixels, or to more for networks
# of large images. A digit that fills a tenth of it is still large enough, and a photograph of millions of pixels takes
# milliseconds once it is decoded.
WORKING_SIDE = 400
ORIENTATION = 0x0112  # EXIF's tag
VISIBLE = 8  # of 255: a picture with nothing brighter than this is black
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


Shape = Tuple[int, int, int]
# The colours of a picture, of mode L, RGB or F in [0, 1], and its opacity, of mode L; None: it is opaque.
Planes = Tuple[Image.Image, Optional[Image.Image]]


class PictureError(OneLineError):
    """A file holds no image that can be classified: the text says why, and does not name the file."""


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
        PictureError: The file cannot be read, or is not an image, or is damaged or too large, or the picture is empty.
    """
    colours, alpha = _read(picture, preparation)
    if preparation.preprocess == "resize":
        colours, alpha = _resized(colours, alpha, preparation.size)
    values, opacity = _array(colours), None if alpha is None else _array(alpha)
    if preparation.preprocess in ("resize", "none"):
        return _unprepared(values, opacity, preparation.image_shape)
    try:
        return center_digit.prepare(values, opacity, preparation.preprocess, preparation.size)[..., np.newaxis]
    except foreground.NoForegroundError as error:
        raise PictureError(str(error)) from None


def _read(picture: Union[str, bytes, Image.Image], preparation: Preparation) -> Planes:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's warnings about a file add nothing to the result
            if isinstance(picture, Image.Image):
                return _upright(picture.copy(), preparation)
            if isinstance(picture, bytes):
                return _decode(BytesIO(picture), len(picture), preparation)
            with open(picture, "rb", opener=_open_without_waiting) as file:
                return _decode(file, _bytes_of(file), preparation)
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


def _decode(file: IO[bytes], byte_count: int, preparation: Preparation) -> Planes:
    if not 0 < byte_count <= MAX_BYTES:
        raise PictureError(f"has {byte_count:,} bytes; at most {MAX_BYTES:,} are read" if byte_count else "is empty")
    image = Image.open(file, formats=FORMATS)
    if image.width * image.height > MAX_PIXELS:
        raise PictureError(f"is too large: at most {MAX_PIXELS:,} pixels are decoded")
    if preparation.side:  # a JPEG can be decoded at a half, quarter or eighth of its size, in a fraction of the time
        image.draft(image.mode, (preparation.side, preparation.side))
    return _upright(image, preparation)


def _upright(image: Image.Image, preparation: Preparation) -> Planes:
    image.load()  # before its EXIF is read: in a PNG, that may follow the pixels
    turn = UPRIGHT.get(_orientation(image))
    colours, alpha = _planes(image, preparation.side)
    if turn is not None:
        colours, alpha = colours.transpose(turn), alpha and alpha.transpose(turn)
    height, width = preparation.size
    if preparation.preprocess == "none" and colours.size != (width, height):
        raise PictureError(f"is {colours.width}x{colours.height}; --preprocess none takes {width}x{height} only")
    return colours, alpha


def _resized(colours: Image.Image, alpha: Optional[Image.Image], size: center_digit.Size) -> Planes:
    """Resizes a whole picture, bilinear and antialiased, as a served model resizes what it is sent."""
    height, width = size
    if alpha is not None:
        over_black = Image.composite(colours, Image.new(colours.mode, colours.size), alpha)
        if alpha.getextrema()[1] > 127 and np.asarray(over_black).max() <= VISIBLE:
            raise PictureError("is black on a transparent background, which counts as black: nothing is left of it")
    if colours.size == (width, height):
        return colours, alpha
    # Composited first, so that the colours of transparent pixels do not bleed into opaque ones.
    whole = colours if alpha is None else over_black
    return whole.resize((width, height), Image.Resampling.BILINEAR), None


def _unprepared(colours: np.ndarray, alpha: Optional[np.ndarray], image_shape: Shape) -> np.ndarray:
    """Returns a picture of the right size in the colours of a network's images, uint8 [*image_shape]."""
    if image_shape[2] == 1 and colours.ndim == 3:
        colours = colours @ foreground.LUMINANCE
    planes = colours.reshape(*image_shape[:2], -1)
    if alpha is not None:  # transparent pixels become dark, like the background of MNIST's images
        planes = planes * alpha[..., np.newaxis]
    return np.broadcast_to(np.rint(255 * np.clip(planes, 0, 1)).astype(np.uint8), image_shape)


def _orientation(image: Image.Image) -> int:
    if "exif" not in image.info and image.format != "PNG":  # a PNG may hold it in a text chunk
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged EXIF says nothing, and the image is readable without it
        return 1


def _planes(image: Image.Image, side: Optional[int]) -> Planes:
    """Returns the colours and the opacity of a picture, reduced to a longer side in pixels."""
    factor = -(-max(image.size) // side) if side else 1
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
