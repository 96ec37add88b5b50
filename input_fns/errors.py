"""Errors that a user can cause and mend, as one line."""


class OneLineError(Exception):
    """An error whose text is one line: unprintable characters, of a file name or a flag's value, are escaped."""

    def __init__(self, text: str):
        super().__init__("".join(char if char.isprintable() else repr(char)[1:-1] for char in text))


class InputError(OneLineError):
    """What the user gave is wrong: the text names the flag or file, what is wrong, and what would be right."""


def reason(error: BaseException) -> str:
    """Returns the message of a library's error as one line: of TensorFlow's reports, the line with the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line, following in zip(lines, lines[1:]):
        if line.startswith("Node: "):  # the lines before it say where the op was defined
            return following
    return lines[0] if lines else type(error).__name__
