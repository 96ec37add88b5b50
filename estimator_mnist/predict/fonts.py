"""A font for any text: Pillow's own, DejaVu Sans, which matplotlib brings, or one of the system."""

import functools
import unicodedata
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from PIL import ImageFont

Font = Union[ImageFont.ImageFont, ImageFont.FreeTypeFont]


def font_for(text: str, size: int) -> Tuple[Font, str]:
    r"""Returns a font of a size in pixels, and the text to write in it.

    Characters that this machine has no font for are escaped, such as "\u732b".
    """
    if text.isascii():
        return _font(None, size), text
    paths = [_dejavu()]
    for char in dict.fromkeys(text):
        path = _system_font(char) if not _has(paths[0], char) else None
        if path and path not in paths:
            paths.append(path)
    best = next((path for path in paths if all(_has(path, char) for char in text)), paths[0])
    shown = (char if _has(best, char) else char.encode("ascii", "backslashreplace").decode() for char in text)
    return _font(best, size), "".join(shown)


@functools.cache
def _font(path: Optional[str], size: int) -> Font:
    """Returns the font of a file; None: Pillow's own, which has ASCII and little else."""
    return ImageFont.truetype(path, size) if path else ImageFont.load_default(size)


@functools.lru_cache(maxsize=1)
def _dejavu() -> str:
    import matplotlib

    return str(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"))


_BY_SCRIPT: Dict[str, Optional[str]] = {}  # the font that was found for a script: a search opens every font


def _system_font(char: str) -> Optional[str]:
    """Returns the file of a font of the system that has a character, or one of the same script; None if none has."""
    script = unicodedata.name(char, "").partition(" ")[0]  # "CJK", "HIRAGANA", "HANGUL", ...
    if script not in _BY_SCRIPT:
        _BY_SCRIPT[script] = next((path for path in _system_fonts() if _is_usable(path, char)), None)
    return _BY_SCRIPT[script]


@functools.lru_cache(maxsize=1)
def _system_fonts() -> List[str]:
    from matplotlib.font_manager import findSystemFonts

    return sorted(findSystemFonts())


def _is_usable(path: str, char: str) -> bool:
    try:
        ImageFont.truetype(path, 11)  # fails for fonts of bitmaps, such as those of coloured emoji
        return bool(_open(path).get_char_index(ord(char)))
    except (OSError, RuntimeError, ValueError):
        return False


def _open(path: str) -> Any:
    from matplotlib.ft2font import FT2Font

    return FT2Font(path)


_face = functools.lru_cache(maxsize=16)(_open)  # of the few fonts that are used


def _has(path: str, char: str) -> bool:
    return bool(_face(path).get_char_index(ord(char)))
