"""The command line of a sweep: lists and ranges where other commands take one value."""

import re
from typing import Any, Callable, Dict, List, Optional

from absl import flags as absl_flags

from estimator_mnist import user_code
from estimator_mnist.config import flags
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import DATA, USER_FUNCTIONS
from estimator_mnist.config.flags import FLAGS
from estimator_mnist.sweep.search_space import MAX_RUNS, Range, Space
from input_fns import InputError

SWEEP_FLAGS = ("sweep_dir", "search", "samples", "jobs", "verbosity")  # of the sweep itself, not of its runs
# Their values may contain a comma, and cannot vary.
PATH_FLAGS = frozenset(("data_dir", "idx_dir", "image_dir", "arrays"))
MAX_RANGE_VALUES = 10_000  # of a range A-B


def read(words: List[str]) -> Space:
    """Returns the sweep that the words after `sweep` describe, and leaves SWEEP_FLAGS in FLAGS.

    Raises:
        InputError: A flag is unknown or not for a sweep, or a value is impossible for its flag.
    """
    texts = _flag_texts(words)
    parse({flag: text for flag, text in texts.items() if flag in SWEEP_FLAGS})
    fixed: Dict[str, str] = {}
    lists = {"model": [str(FLAGS["model"].default)], "seed": ["0"]}
    ranges: Dict[str, Range] = {}
    for flag, text in texts.items():
        if flag in SWEEP_FLAGS:
            continue
        _check_is_flag_of_runs(flag)
        if flag in PATH_FLAGS:
            fixed[flag] = text
        elif ".." in text and not (flag in USER_FUNCTIONS and ".py:" in text):
            ranges[flag] = _range(flag, text)
        else:
            values = _values(flag, text)
            if len(values) > 1 or flag in lists:
                lists[flag] = values
            else:
                fixed[flag] = values[0]
    _check_ranges(ranges)
    _check_names(lists)
    return Space(_search(), FLAGS.samples, fixed, lists, ranges)


def _check_is_flag_of_runs(flag: str) -> None:
    if flag == "clean":
        raise InputError("--clean: is no flag of a sweep; delete its folder to start over, or name another --sweep_dir")
    if flag not in FLAGS or flag not in Experiment.__dataclass_fields__ or flag in DATA:
        sweep_flags = ", ".join(f"--{name}" for name in SWEEP_FLAGS)
        raise InputError(f"--{flag}: is no flag of a sweep; a sweep takes the flags of training and {sweep_flags}")


def _check_ranges(ranges: Dict[str, Range]) -> None:
    if "seed" in ranges:
        raise InputError(
            f"--seed: {ranges['seed']} is a range to draw from; give seeds as a list or as all of a range, 0-4"
        )
    if ranges and FLAGS.samples is None:
        flag, values = next(iter(ranges.items()))
        raise InputError(f"--{flag}: {values} is a range to draw from; say how many settings with --samples N")


def _check_names(lists: Dict[str, List[str]]) -> None:
    """Raises InputError if two user functions would give two runs one name."""
    for flag, values in lists.items():
        names: Dict[str, str] = {}
        for value in values:
            if user_code.is_reference(value) and names.setdefault(user_code.parse(value).name, value) != value:
                raise InputError(
                    f"--{flag}: {value} and {names[user_code.parse(value).name]} have one name; rename a file"
                )


def _search() -> str:
    """Returns the kind of search that SWEEP_FLAGS describe, after checking them."""
    search = str(FLAGS.search or ("grid" if FLAGS.samples is None else "random"))
    if (search == "grid") != (FLAGS.samples is None):
        hint = "has no effect; leave it out" if search == "grid" else "is required: the number of settings to try"
        raise InputError(f"--samples: with --search {search}, it {hint}")
    for name in ("samples", "jobs"):
        value: Optional[int] = FLAGS[name].value
        if value is not None and not 1 <= value <= MAX_RUNS:
            raise InputError(f"--{name}: {value} is not possible; it must be from 1 to {MAX_RUNS:,}")
    return search


def parse(values: Dict[str, str]) -> None:
    """Sets FLAGS to these values, and all other flags to their defaults."""
    FLAGS.unparse_flags()
    flags.parse(["sweep", *(f"--{name}={text}" for name, text in values.items())])


def _flag_texts(words: List[str]) -> Dict[str, str]:
    """Returns {flag: text} of a command line. If a flag is named twice, the last one counts, as in other commands."""
    try:
        waiting = FLAGS.read_flags_from_files(["sweep", *words], force_gnu=True)[1:]
    except absl_flags.Error as error:
        raise InputError(" ".join(str(error).split())) from error
    texts: Dict[str, str] = {}
    while waiting:
        word = waiting.pop(0)
        flag, equals, text = word.lstrip("-").partition("=")
        if not word.startswith("-") or not flag:
            raise InputError(f"{word}: not expected here; flags begin with --, and sweep takes no further words")
        negated_flag = flag[2:] if flag.startswith("no") and _is_boolean(flag[2:]) else None
        if equals:
            pass
        elif negated_flag:
            flag, text = negated_flag, "false"
        elif _is_boolean(flag):
            has_list = waiting and re.fullmatch("(?i)(true|false)(,(true|false))*", waiting[0])
            text = waiting.pop(0) if has_list else "true"
        elif waiting:
            text = waiting.pop(0)
        else:
            raise InputError(f"--{flag}: has no value; write --{flag} VALUE or --{flag} VALUE,VALUE")
        texts[flag] = text
    return texts


def _is_boolean(flag: str) -> bool:
    return flag in FLAGS and bool(FLAGS[flag].boolean)


def _values(flag: str, text: str) -> List[str]:
    """Returns the values of "a,b,c" or, for whole numbers, "0-4,7", without repetitions, as the flag spells them."""
    texts: List[str] = []
    for part in text.split(","):
        ends = re.fullmatch(r"(\d+)-(\d+)", part.strip()) if FLAGS[flag].flag_type() == "int" else None
        if ends:
            first, last = map(int, ends.groups())
            if not first <= last < first + MAX_RANGE_VALUES:
                raise InputError(
                    f"--{flag}={part}: a range goes up and holds at most {MAX_RANGE_VALUES:,} values; for example 0-4"
                )
            texts += map(str, range(first, last + 1))
        else:
            texts.append(_canonical_text(flag, part.strip()))
    return list(dict.fromkeys(texts))


def _canonical_text(flag: str, text: str) -> str:
    """Returns a value as text, the same for all spellings of the value.

    Raises:
        InputError: The flag does not take this value.
    """
    try:
        value = FLAGS[flag].parser.parse(text)
    except ValueError as error:
        raise InputError(f"--{flag}={text}: {error}") from error
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(flag: str, text: str) -> Range:
    """Returns the range of "LOW..HIGH" or "log:LOW..HIGH".

    Raises:
        InputError: The text is no range, or the flag takes no numbers.
    """
    kind = FLAGS[flag].flag_type()
    read_number: Optional[Callable[[str], Any]] = {"int": int, "float": float}.get(kind)
    match = re.fullmatch(r"(log:)?(.+?)\.\.(.+)", text)
    try:
        if match is None or read_number is None:
            raise ValueError
        low, high, is_log = read_number(match[2]), read_number(match[3]), bool(match[1])
        if not (-float("inf") < low < high < float("inf")) or (is_log and low <= 0):
            raise ValueError
    except ValueError:
        form = "LOW..HIGH or log:LOW..HIGH with two increasing numbers, which are above 0 with log:"
        only = "" if read_number else f"; --{flag} takes no numbers, so give it a list"
        raise InputError(f"--{flag}={text}: a range to draw from is {form}{only}") from None
    return Range(low, high, is_log, kind == "int")
