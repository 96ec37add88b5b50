"""What reaches the terminal: text, tables, and no control characters of foreign text."""

import os

import pytest

from estimator_mnist.system import terminal

REPAINT = "\x1b[2J\x1b]0;owned\x07"


@pytest.mark.parametrize(
    "text, shown",
    [
        ("Ankle boot", "Ankle boot"),
        ("Größe 数字", "Größe 数字"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\u202egnp.exe", "\\u202egnp.exe"),  # right-to-left override
        ("\x9b2J", "\\x9b2J"),  # a control sequence introducer of one character
        ("caf\udce9", "caf\\udce9"),  # an undecodable byte of a file name
    ],
)
def test_printable_escapes_what_does_not_print_as_itself(text, shown):
    assert terminal.printable(text) == shown


def test_say_keeps_line_breaks_and_escapes_other_control_characters(capsys):
    terminal.say(f"first\nsecond {REPAINT}")
    assert capsys.readouterr().out == "first\nsecond \\x1b[2J\\x1b]0;owned\\x07\n"


def test_table_escapes_its_cells_and_headers():
    text = terminal.table([[f"a{REPAINT}", "1"], ["two\nlines", 22]], ["name", f"n{REPAINT}"])
    assert "\x1b" not in text and "\x07" not in text
    assert len(text.splitlines()) == 4 and "two\\nlines" in text


def test_silent_discards_output_and_restores_it(capfd):
    os.write(1, b"before\n")
    with terminal.silent():  # what C++ writes goes to the file descriptors, past Python's streams
        os.write(1, b"within\n")
        os.write(2, b"within\n")
    os.write(1, b"after\n")
    out, err = capfd.readouterr()
    assert out == "before\nafter\n" and err == ""
