"""Class names as figures can show them: short, printable, and in letters that the font has."""

from typing import List, Sequence

from matplotlib import font_manager

from estimator_mnist.system.terminal import printable, shortened

LONGEST = 16  # characters of a name in a figure


def of_figure(names: Sequence[str]) -> List[str]:
    """Returns the names of all classes as a figure can show them.

    The font of the figures has Latin, Greek, Cyrillic and a few further scripts. It would draw a box for any other
    letter, and matplotlib would print a warning. Names with such letters become "class 3": the report has the name.
    """
    labels = [shortened(printable(name), LONGEST) for name in names]
    return [label if drawable(label) else f"class {index}" for index, label in enumerate(labels)]


def drawable(text: str) -> bool:
    """Tells whether the font of the figures has all letters of a text. Call it within `plots.style`."""
    font = font_manager.get_font(font_manager.findfont(font_manager.FontProperties()))
    return all(font.get_char_index(ord(letter)) for letter in text)
