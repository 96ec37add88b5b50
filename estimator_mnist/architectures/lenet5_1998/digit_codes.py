"""The codes of the ten digits: stylised images of 7x12 pixels that LeNet-5's output compares layer F6 with.

LeCun et al. 1998, section II.B. Figure 3 draws codes for all of ASCII, but the paper does not print them as numbers.
These are its digits as published implementations have read them off the figure. The two empty rows at the bottom are
for the descenders of letters. The bars over 0, 2, 4 and 5 distinguish these from letters.
"""

from typing import List

import numpy as np

WIDTH, HEIGHT = 7, 12
DIGITS = """
.#####. ...##.. .#####. ####### .#####. .#####. ..####. ####### .#####. .#####.
....... ..###.. ....... .....## ....... ....... .##.... .....## ##...## ##..###
..###.. .####.. .#####. ....##. ....... ####### ##..... .....## ##...## ##...##
.##.##. ...##.. ##...## ...##.. .##..## ##..... ##..... ....##. ##...## ##...##
##...## ...##.. #....## ..####. .##..## ##..... ######. ...##.. .#####. ##..###
##...## ...##.. ....##. .....## ###..## .####.. ###..## ...##.. ##...## .######
##...## ...##.. ..###.. .....## ##...## ..####. ##...## ..##... ##...## .....##
##...## ...##.. .##.... .....## ##...## .....## ##...## ..##... ##...## .....##
.##.##. ...##.. ##..... ##...## ##..### ##...## ###..## ..##... ##...## ....##.
..###.. .###### ####### .#####. .###### .#####. .#####. ..##... .#####. .####..
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
....... ....... ....... ....... .....## ....... ....... ....... ....... .......
"""


def codes(classes: int) -> np.ndarray:
    """Returns the codes of the first classes, at most ten, row by row: float32 [classes, 84], ink 1, background -1."""
    rows: List[List[str]] = [line.split() for line in DIGITS.split("\n") if line]
    drawn = ["".join(row[digit] for row in rows) for digit in range(classes)]
    return np.array([[1.0 if pixel == "#" else -1.0 for pixel in digit] for digit in drawn], np.float32)
