"""Contact sheets: what the network saw of each file, with its answer, as pages of small pictures."""

import os
from pathlib import Path
from typing import Iterable, List, NamedTuple, Sequence, Tuple, Union

from PIL import Image, ImageDraw, ImageFont

from estimator_mnist.predict.answer import Answer
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.terminal import percent, printable
from input_fns import InputError

COLUMNS, ROWS = 16, 25  # of a page, which is all that is held in memory
ZOOM = 2  # pixels of the page for a pixel of an image
MARGIN, TEXT_ROOM, LINE = 8, 28, 13  # pixels around an image, further width for the text, from line to line
PAPER, TEXT, SURE, DOUBTFUL, WRONG = "#ffffff", "#606060", "#000000", "#b06000", "#c00000"
SURE_FROM = 0.9  # probability

Font = Union[ImageFont.ImageFont, ImageFont.FreeTypeFont]


class Cell(NamedTuple):
    """The place of one answer on a page, in pixels: an image above two lines of text."""

    image_height: int
    image_width: int

    @property
    def height(self) -> int:
        return self.image_height + 2 * MARGIN + 2 * LINE

    @property
    def width(self) -> int:
        return self.image_width + 2 * MARGIN + TEXT_ROOM


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
        self._cell = Cell(image_size[0] * ZOOM, image_size[1] * ZOOM)
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
    columns = min(COLUMNS, len(answers))
    page = Image.new("RGB", (columns * cell.width, -(-len(answers) // columns) * cell.height), PAPER)
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(11)
    for index, answer in enumerate(answers):
        left, top = index % columns * cell.width, index // columns * cell.height + MARGIN
        if answer.image is not None:
            size = cell.image_width, cell.image_height
            enlarged = Image.fromarray(answer.image).resize(size, Image.Resampling.NEAREST)
            page.paste(enlarged, (left + (cell.width - cell.image_width) // 2, top))
        lines = (_caption(answer, labels), (os.path.basename(answer.printable_file), TEXT))
        for line, (text, colour) in enumerate(lines):
            text = _shortened(text, font, cell.width - 4)
            place = (left + (cell.width - font.getlength(text)) / 2, top + cell.image_height + 2 + line * LINE)
            draw.text(place, text, colour, font)
    return page


def _caption(answer: Answer, labels: Sequence[str]) -> Tuple[str, str]:
    """Returns what stands below an image, and its colour."""
    if answer.probabilities is None:
        return "error", WRONG
    best = answer.ranking()[0]
    probability = answer.probabilities[best]
    return f"{labels[best]}  {percent(probability)}", SURE if probability >= SURE_FROM else DOUBTFUL


def _shortened(text: str, font: Font, width: int) -> str:
    """Returns a text, or its end if it is too wide: file names differ at their ends."""
    if font.getlength(text) <= width:
        return text
    while font.getlength(f"...{text}") > width:
        text = text[1:]
    return f"...{text}"
