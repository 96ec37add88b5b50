"""Contact sheets: what the network saw of each file, with its answer, as pages of small pictures."""

import os
from pathlib import Path
from typing import Iterable, List, NamedTuple, Sequence, Tuple

import numpy as np
from PIL import Image, ImageDraw

from estimator_mnist.predict.answer import Answer
from estimator_mnist.predict.fonts import Font, font_for
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.terminal import percent, printable
from input_fns import InputError

COLUMNS, ROWS = 16, 25  # of a page, which is all that is held in memory
# Pixels of the page along the longer side of an image: small images are enlarged up to the first by a whole factor, at
# least 2 if that stays within the second. Images larger than the second are reduced to it.
SMALL_SIDE, LARGE_SIDE = 56, 128
MARGIN, TEXT_ROOM, LINE = 8, 28, 13  # pixels around an image, further width for the text, from line to line
FONT_SIZE, TEXT_WIDTH = 11, 96  # pixels: the text's height, and the least room for its lines
PAPER, TEXT, SURE, DOUBTFUL, WRONG = "#ffffff", "#606060", "#000000", "#b06000", "#c00000"
SURE_FROM = 0.9  # probability


class Cell(NamedTuple):
    """The place of one answer on a page, in pixels: an image above two lines of text."""

    image_height: int
    image_width: int

    @property
    def height(self) -> int:
        return self.image_height + 2 * MARGIN + 2 * LINE

    @property
    def width(self) -> int:
        return max(self.image_width + 2 * MARGIN + TEXT_ROOM, TEXT_WIDTH + 4)


def cell_of(height: int, width: int) -> Cell:
    """Returns the place of images of a height and width."""
    longer = max(height, width)
    zoom = max(SMALL_SIDE // longer, min(2, LARGE_SIDE // longer))
    if zoom:
        return Cell(height * zoom, width * zoom)
    return Cell(max(1, round(height * LARGE_SIDE / longer)), max(1, round(width * LARGE_SIDE / longer)))


class ContactSheets:
    """Pages of answers: OUT.png, and further ones OUT-2.png, OUT-3.png, of 400 files each.

    Args:
        path: OUT.png.
        class_names: By label.
        image_size: Height and width of the images.

    Raises:
        InputError: No PNG can be written there.
    """

    def __init__(self, path: Path, class_names: Sequence[str], image_size: Tuple[int, int]):
        if path.suffix.lower() != ".png":
            raise InputError(f"--contact_sheet {path}: is written as PNG; name a file that ends in .png")
        if not path.parent.is_dir() or path.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
            raise InputError(f"--contact_sheet {path}: cannot be written; name a file in a writable folder")
        self._path, self._labels = path, list(map(printable, class_names))
        self._cell = cell_of(*image_size)
        self._answers: List[Answer] = []  # of the page that is not written yet
        self._pages = 0

    def add(self, answers: Iterable[Answer]) -> None:
        """Adds answers to the page, and writes it once it is full.

        Raises:
            RunError: A page could not be written.
        """
        for answer in answers:
            self._answers.append(answer)
            if len(self._answers) == COLUMNS * ROWS:
                self._write()

    def close(self) -> None:
        """Writes the last page.

        Raises:
            RunError: It could not be written.
        """
        if self._answers:
            self._write()

    def _write(self) -> None:
        self._pages += 1
        path = self._path if self._pages == 1 else self._path.with_stem(f"{self._path.stem}-{self._pages}")
        new = path.with_name(f"{path.name}.new-{os.getpid()}")
        try:
            with open(new, "wb") as file:
                _page(self._answers, self._labels, self._cell).save(file, "PNG")
            os.replace(new, path)
        except OSError as error:
            raise RunError(f"--contact_sheet {path}: could not be written ({error.strerror or error})") from error
        finally:
            new.unlink(missing_ok=True)
        self._answers = []


def _page(answers: List[Answer], labels: Sequence[str], cell: Cell) -> Image.Image:
    columns, text_width = min(COLUMNS, len(answers)), cell.width - 4
    page = Image.new("RGB", (columns * cell.width, -(-len(answers) // columns) * cell.height), PAPER)
    draw = ImageDraw.Draw(page)
    for index, answer in enumerate(answers):
        left, top = index % columns * cell.width, index // columns * cell.height + MARGIN
        if answer.image is not None:
            page.paste(_shown(answer.image, cell), (left + (cell.width - cell.image_width) // 2, top))
        lines = (_caption(answer, labels, text_width), _file_name(answer, text_width))
        for line, (text, font, colour) in enumerate(lines):
            place = (left + (cell.width - font.getlength(text)) / 2, top + cell.image_height + 2 + line * LINE)
            draw.text(place, text, colour, font)
    return page


def _shown(image: np.ndarray, cell: Cell) -> Image.Image:
    """Returns an image, uint8 [height, width, channels], in the size that it has on the page."""
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    enlarged = cell.image_width >= picture.width
    size = cell.image_width, cell.image_height
    return picture.resize(size, Image.Resampling.NEAREST if enlarged else Image.Resampling.BOX)


def _caption(answer: Answer, labels: Sequence[str], width: int) -> Tuple[str, Font, str]:
    """Returns what is written below an image, its font and its colour. A label that is too wide loses its end."""
    if answer.probabilities is None:
        return "error", font_for("error", FONT_SIZE)[0], WRONG
    best = answer.ranking()[0]
    probability = answer.probabilities[best]
    font, label = font_for(labels[best][:width], FONT_SIZE)  # few characters are narrower than a pixel
    text = f"{label}  {percent(probability)}"
    while label and font.getlength(text) > width:
        label = label[:-1]
        text = f"{label}...  {percent(probability)}"
    return text, font, SURE if probability >= SURE_FROM else DOUBTFUL


def _file_name(answer: Answer, width: int) -> Tuple[str, Font, str]:
    """Returns an answer's file name, its font and its colour. A name that is too wide loses its start: names differ at
    their ends."""
    font, name = font_for(os.path.basename(answer.printable_file)[-width:], FONT_SIZE)
    text = name
    while name and font.getlength(text) > width:
        name = name[1:]
        text = f"...{name}"
    return text, font, TEXT
