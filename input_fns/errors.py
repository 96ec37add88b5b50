"""The error for what a user can cause and mend."""


class InputError(Exception):
    """What the user gave is wrong: the text is one line that names the flag or file, what is wrong, what is right."""


def reason(error: BaseException) -> str:
    """Returns what an error of a library says, in one line: of TensorFlow's reports only the line that tells it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    for line, following in zip(lines, lines[1:]):
        if line.startswith("Node: "):  # before it: where the op was defined
            return following
    return lines[0] if lines else type(error).__name__
