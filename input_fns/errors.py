"""The error for what a user can cause and mend."""


class InputError(Exception):
    """What the user gave is wrong: the text is one line that names the flag or file, what is wrong, what is right."""
