"""The text of --help: commands, examples, the flags under their headings, and the benchmarks."""

import re
import shutil
import textwrap
from typing import Any, Dict, Iterator, List, Sequence

from estimator_mnist.architectures import ARCHITECTURES
from estimator_mnist.cli.launchers import BENCHMARKS
from estimator_mnist.config import setting as settings
from estimator_mnist.config.definitions import COMMANDS, DEFAULTS, FLAGS, GROUPS
from estimator_mnist.config.fields import FIELDS, USER_FUNCTIONS
from estimator_mnist.system import command_name

USAGE = "[command] [--flag value | --flag=value] [files]"  # after the words that call the program, as the examples
EXAMPLES = {
    "": "Train conv on MNIST, then write predictions, a report and SavedModels.",
    "--model lenet5 --recipe best": "Train another network for its best accuracy.",
    "--model my_nets.py:resnet --image_dir photos": "Train a network of yours on a folder of your images.",
    "predict photo.jpg --model_dir runs/mnist-conv": "Classify a picture with a trained network.",
}
SWEEP_VALUES = {
    "--learning_rate 0.001,0.003": "A list.",
    "--seed 0-4": "All whole numbers of a range.",
    "--dropout_rate 0.1..0.5": "With --samples: a range to draw from.",
    "--learning_rate log:0.0001..0.01": "The same in the logarithm.",
}
LOGGING = {
    "--flagfile FILE": "Read flags from a file, one a line.",
    "--verbosity N": "0 or more: show TensorFlow's log, and the traceback of an unexpected error.",
}
# Recipes set these flags, so that the field's default counts only where a recipe is silent.
_SET_BY_RECIPES = {name for record in ARCHITECTURES.values() for recipe in record.recipes.values() for name in recipe}
_PLACEHOLDERS = {
    "int": " N",
    "float": " X",
    "enum": " VALUE",
    "string": " TEXT",
    "multi string": " TEXT",
    "comma separated list of strings": " A,B",
}
_NAME_WIDTH = 28
_WIDTHS = (60, 120)  # of a line, at least and at most


def is_wanted(words: Sequence[str]) -> bool:
    """Tells whether the words after the program's name ask for help."""
    return list(words[:1]) == ["help"] or any(word in ("-h", "--help", "-help") for word in words)


def text() -> str:
    """Returns the help, wrapped at words to the width of the terminal."""
    low, high = _WIDTHS
    width = min(max(shutil.get_terminal_size().columns, low), high)
    program = command_name.text()
    examples = {f"{program} {words}".rstrip(): meaning for words, meaning in EXAMPLES.items()}
    lines = [f"{program} {USAGE}", ""]
    lines += _section("Commands", COMMANDS, width)
    lines += ["Examples", *(line for example in examples.items() for line in _example(*example, width)), ""]
    for group, names in GROUPS.items():
        lines += _section(group, {_spelling(FLAGS[name]): _explanation(FLAGS[name]) for name in names}, width)
    lines += _section("Values of flags in a sweep", SWEEP_VALUES, width)
    lines += _section("Logging and flag files", LOGGING, width)
    lines += _section("Benchmarks", BENCHMARKS, width)
    return "\n".join(lines[:-1])


def _section(heading: str, entries: Dict[str, str], width: int) -> List[str]:
    return [heading, *(line for entry in entries.items() for line in _entry(*entry, width)), ""]


def _entry(name: str, explanation: str, width: int) -> Iterator[str]:
    """Yields a name and, beside it or below it, its explanation."""
    wrapped = textwrap.wrap(explanation, width - _NAME_WIDTH, break_on_hyphens=False, break_long_words=False)
    name = f"  {name}"
    if len(name) > _NAME_WIDTH - 2:
        yield name
        name = ""
    for line in wrapped:
        yield f"{name:<{_NAME_WIDTH}}{line}"
        name = ""


def _example(command: str, explanation: str, width: int) -> Iterator[str]:
    yield f"  {command}"
    yield from textwrap.wrap(explanation, width, initial_indent=" " * 6, subsequent_indent=" " * 6)


def _spelling(flag: Any) -> str:
    """Returns a flag as a user writes it: "--seed N"."""
    kind = "enum" if getattr(flag.parser, "enum_values", None) else flag.flag_type()
    return f"--{flag.name}{_PLACEHOLDERS.get(kind, '')}"


def _explanation(flag: Any) -> str:
    """Returns what a flag does, its values and its default."""
    # absl puts <the choices> before the help of an enum, and adds a line to that of a flag that may be repeated.
    parts = [re.sub(r"^<[^>]*>: ", "", flag.help.split(";\n")[0])]
    values = list(getattr(flag.parser, "enum_values", None) or [])
    if flag.name in USER_FUNCTIONS:
        values = [*filter(None, settings.of(FIELDS[flag.name]).choices), "or FILE.py:FUNCTION"]
    if values:
        parts.append(f"One of {', '.join(values)}." if len(values) > 1 else "FILE.py:FUNCTION.")
    default = _default(flag)
    if default and "Default:" not in flag.help:
        parts.append(f"Default: {default}.")
    return " ".join(parts)


def _default(flag: Any) -> str:
    """Returns the value of a flag that is not given, an empty text if that goes without saying."""
    field = FIELDS.get(flag.name)
    if field is None or flag.name in DEFAULTS:
        value = flag.default
    elif flag.name in _SET_BY_RECIPES:
        return "the recipe's" if field.default is None else f"the recipe's, else {field.default}"
    else:
        value = field.default
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, bool):
        return "true" if value else ""
    return "" if value is None else str(value)
