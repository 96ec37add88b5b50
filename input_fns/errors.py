"""The error for what a user can cause and mend."""


class OneLineError(Exception):
    """An error whose text is one line, whatever unprintable characters a file's name or a flag's value holds."""

    def __init__(self, text: str):
        super().__init__("".join(char if char.isprintable() else repr(char)[1:-1] for char in text))


class InputError(OneLineError):
    """What the user gave is wrong: the text names the flag or file, what is wrong, and what would be right."""


def reason(error: BaseException) -> str:
    """Returns what an error of a library says, in one line: of TensorFlow's reports only the line that tells it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line, following in zip(lines, lines[1:]):
        if line.startswith("Node: "):  # before it: where the op was defined
            return following
    return lines[0] if lines else type(error).__name__
