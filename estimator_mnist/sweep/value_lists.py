"""The command line of a sweep: lists and ranges where other commands take one value."""

import re
from typing import Any, Callable, Dict, List, Optional

from absl import flags as absl_flags

from estimator_mnist.config import flags
from estimator_mnist.config.experiment import DATA, Experiment
from estimator_mnist.config.flags import FLAGS
from estimator_mnist.sweep.search_space import MOST_RUNS, Range, Space
from input_fns import InputError

OWN_FLAGS = ("sweep_dir", "search", "samples", "jobs", "verbosity")
PATHS = frozenset(("data_dir", "idx_dir"))  # may hold a comma, and cannot vary
MOST_VALUES = 10_000  # of a whole range A-B


def read(words: List[str]) -> Space:
    """Returns the sweep that the words after `sweep` describe, and leaves its own flags (--sweep_dir, ...) in FLAGS.

    Raises:
        InputError: A flag is unknown or not for a sweep, or a value is none of its flag's.
    """
    given = _given(words)
    parse({flag: text for flag, text in given.items() if flag in OWN_FLAGS})
    fixed: Dict[str, str] = {}
    lists = {"model": [str(FLAGS["model"].default)], "seed": ["0"]}
    ranges: Dict[str, Range] = {}
    for flag, text in given.items():
        if flag in OWN_FLAGS:
            continue
        if flag not in FLAGS or flag not in Experiment.__dataclass_fields__ or flag in DATA:
            own = ", ".join(f"--{name}" for name in OWN_FLAGS)
            raise InputError(f"--{flag}: is no flag of a sweep, which takes those of training and {own}")
        if flag in PATHS:
            fixed[flag] = text
        elif ".." in text:
            ranges[flag] = _range(flag, text)
        else:
            values = _values(flag, text)
            if len(values) > 1 or flag in lists:
                lists[flag] = values
            else:
                fixed[flag] = values[0]
    _check(lists, ranges)
    search = FLAGS.search or ("grid" if FLAGS.samples is None else "random")
    if (search == "grid") != (FLAGS.samples is None):
        hint = "draws none; leave it out" if search == "grid" else "is needed, the number of settings to try"
        raise InputError(f"--samples: with --search {search}, {hint}")
    for name in ("samples", "jobs"):
        value: Optional[int] = FLAGS[name].value
        if value is not None and not 1 <= value <= MOST_RUNS:
            raise InputError(f"--{name}: {value} is not possible; it must be from 1 to {MOST_RUNS:,}")
    return Space(search, FLAGS.samples, fixed, lists, ranges)


def _check(lists: Dict[str, List[str]], ranges: Dict[str, Range]) -> None:
    if "seed" in ranges:
        raise InputError(f"--seed: {ranges['seed']} is a range to draw from; seeds are a list or all of a range, 0-4")
    if ranges and FLAGS.samples is None:
        flag, values = next(iter(ranges.items()))
        raise InputError(f"--{flag}: {values} is a range to draw from; say how many settings with --samples N")


def parse(given: Dict[str, str]) -> None:
    """Reads flags of one value into FLAGS, in place of all that was there."""
    FLAGS.unparse_flags()
    flags.parse(["sweep", *(f"--{name}={text}" for name, text in given.items())])


def _given(words: List[str]) -> Dict[str, str]:
    """Returns {flag: text} of a command line; of a flag named twice the last counts, as in other commands."""
    try:
        waiting = FLAGS.read_flags_from_files(["sweep", *words], force_gnu=True)[1:]
    except absl_flags.Error as error:
        raise InputError(" ".join(str(error).split())) from error
    found: Dict[str, str] = {}
    while waiting:
        word = waiting.pop(0)
        flag, joined, text = word.lstrip("-").partition("=")
        if not word.startswith("-") or not flag:
            raise InputError(f"{word}: not expected here; flags begin with --, and sweep takes no further words")
        negated = flag[2:] if flag.startswith("no") and _is_boolean(flag[2:]) else None
        if joined:
            pass
        elif negated:
            flag, text = negated, "false"
        elif _is_boolean(flag):
            listed = waiting and re.fullmatch("(?i)(true|false)(,(true|false))*", waiting[0])
            text = waiting.pop(0) if listed else "true"
        elif waiting:
            text = waiting.pop(0)
        else:
            raise InputError(f"--{flag}: is given no value")
        found[flag] = text
    return found


def _is_boolean(flag: str) -> bool:
    return flag in FLAGS and bool(FLAGS[flag].boolean)


def _values(flag: str, text: str) -> List[str]:
    """Returns the values of "a,b,c" or, for whole numbers, "0-4,7", each once and as the flag writes them."""
    texts: List[str] = []
    for part in text.split(","):
        ends = re.fullmatch(r"(\d+)-(\d+)", part.strip()) if FLAGS[flag].flag_type() == "int" else None
        if ends:
            first, last = map(int, ends.groups())
            if not first <= last < first + MOST_VALUES:
                raise InputError(f"--{flag}={part}: a range goes up, by {MOST_VALUES:,} values at most, such as 0-4")
            texts += map(str, range(first, last + 1))
        else:
            texts.append(_text(flag, part.strip()))
    return list(dict.fromkeys(texts))


def _text(flag: str, text: str) -> str:
    """Returns a value as text, the same for all spellings of it.

    Raises:
        InputError: It is none of the flag's.
    """
    try:
        value = FLAGS[flag].parser.parse(text)
    except ValueError as error:
        raise InputError(f"--{flag}={text}: {error}") from error
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(flag: str, text: str) -> Range:
    """Returns the range of "LOW..HIGH" or "log:LOW..HIGH".

    Raises:
        InputError: It is none, or the flag takes no numbers.
    """
    kind = FLAGS[flag].flag_type()
    read_number: Optional[Callable[[str], Any]] = {"int": int, "float": float}.get(kind)
    spelled = re.fullmatch(r"(log:)?(.+?)\.\.(.+)", text)
    try:
        if spelled is None or read_number is None:
            raise ValueError
        low, high = read_number(spelled[2]), read_number(spelled[3])
        found = Range(low, high, bool(spelled[1]), kind == "int")
        if not (-float("inf") < low < high < float("inf")) or (found.log and low <= 0):
            raise ValueError
    except ValueError:
        wanted = "LOW..HIGH or log:LOW..HIGH, two numbers that go up, above 0 with log:"
        only = "" if read_number else f"; --{flag} takes no numbers, so give it a list"
        raise InputError(f"--{flag}={text}: a range to draw from is {wanted}{only}") from None
    return found
