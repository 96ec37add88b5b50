"""Contact sheets: what the network saw of each file, with its answer, as pages of small pictures."""

import os
from pathlib import Path
from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from estimator_mnist.system.errors import RunError
from estimator_mnist.system.terminal import percent
from input_fns import InputError
from input_fns.errors import OneLineError

COLUMNS, ROWS = 16, 25  # of a page: a page is all that is held in memory
ZOOM, MARGIN, LINE = 2, 8, 13  # pixels shown for one; pixels around a picture; pixels from line to line
WIDTH = 28 * ZOOM + 2 * MARGIN + 28
HEIGHT = 28 * ZOOM + 2 * MARGIN + 2 * LINE
PAPER, TEXT, SURE, DOUBTFUL, WRONG = "#ffffff", "#606060", "#000000", "#b06000", "#c00000"
SURE_FROM = 0.9  # probability

Font = Union[ImageFont.ImageFont, ImageFont.FreeTypeFont]


class Answer(NamedTuple):
    """What is known of a file: its image and the probability of each class, or what is wrong with it."""

    file: str
    image: Optional[np.ndarray]  # uint8 [28, 28], as the network saw it
    probabilities: Optional[np.ndarray]  # float32 [classes]
    error: Optional[str]  # one line

    @property
    def name(self) -> str:
        """The file's name without control characters and what is no text."""
        return str(OneLineError(self.file))

    def ranking(self) -> List[int]:
        """Returns the classes, the most probable first; none of a file with an error."""
        return [] if self.probabilities is None else np.argsort(-self.probabilities, kind="stable").tolist()


class ContactSheets:
    """Pages of answers: OUT.png, and further ones OUT-2.png, OUT-3.png, of 400 files each.

    Raises:
        InputError: No PNG can be written there.
    """

    def __init__(self, path: Path, class_names: Sequence[str]):
        if path.suffix.lower() != ".png":
            raise InputError(f"--contact_sheet {path}: is written as PNG; name a file that ends in .png")
        if not path.parent.is_dir() or path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            raise InputError(f"--contact_sheet {path}: cannot be written; name a file in a folder that can be written")
        self._path, self._class_names = path, class_names
        self._page: List[Answer] = []
        self._pages = 0

    def add(self, answers: Iterable[Answer]) -> None:
        """Adds answers to the page.

        Raises:
            RunError: A page could not be written.
        """
        for answer in answers:
            self._page.append(answer)
            if len(self._page) == COLUMNS * ROWS:
                self._write()

    def close(self) -> None:
        """Writes the last page; raises as `add`."""
        if self._page:
            self._write()

    def _write(self) -> None:
        self._pages += 1
        path = self._path if self._pages == 1 else self._path.with_stem(f"{self._path.stem}-{self._pages}")
        new = path.with_name(f"{path.name}.new-{os.getpid()}")
        try:
            with open(new, "wb") as file:
                _page(self._page, self._class_names).save(file, "PNG")
            os.replace(new, path)
        except OSError as error:
            raise RunError(f"--contact_sheet {path}: could not be written ({error.strerror or error})") from error
        finally:
            new.unlink(missing_ok=True)
        self._page = []


def _page(answers: List[Answer], class_names: Sequence[str]) -> Image.Image:
    columns = min(COLUMNS, len(answers))
    page = Image.new("RGB", (columns * WIDTH, -(-len(answers) // columns) * HEIGHT), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for index, answer in enumerate(answers):
        left, top = index % columns * WIDTH, index // columns * HEIGHT + MARGIN
        if answer.image is not None:
            picture = Image.fromarray(answer.image).resize((28 * ZOOM, 28 * ZOOM), Image.Resampling.NEAREST)
            page.paste(picture, (left + (WIDTH - 28 * ZOOM) // 2, top))
        text, colour = _answer(answer, class_names)
        lines = ((text, colour), (os.path.basename(answer.name), TEXT))
        for line, (words, fill) in enumerate(lines):
            words = _fitting(words, font)
            place = (left + (WIDTH - font.getlength(words)) / 2, top + 28 * ZOOM + 2 + line * LINE)
            draw.text(place, words, fill, font)
    return page


def _answer(answer: Answer, class_names: Sequence[str]) -> Tuple[str, str]:
    """Returns what is said of an answer, and in which colour."""
    if answer.probabilities is None:
        return "error", WRONG
    best = answer.ranking()[0]
    probability = answer.probabilities[best]
    return f"{class_names[best]}  {percent(probability)}", SURE if probability >= SURE_FROM else DOUBTFUL


def _fitting(words: str, font: Font) -> str:
    """Returns words, or their end where they are too long: it is there that names of files differ."""
    if font.getlength(words) <= WIDTH - 4:
        return words
    while font.getlength(f"...{words}") > WIDTH - 4:
        words = words[1:]
    return f"...{words}"
