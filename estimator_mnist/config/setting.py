"""`setting` declares a field of Experiment: one declaration yields its flag, its help, its check and its rules."""

import dataclasses
import enum
import functools
from typing import Any, Callable, NamedTuple, Optional, Sequence, Tuple

from estimator_mnist import user_code
from estimator_mnist.config.limits import Limits
from estimator_mnist.system import json_records

_KEY = "setting"  # in the metadata of a dataclass field


class Trait(enum.Flag):
    """What is special about a field."""

    NONE = 0
    MAY_CHANGE = enum.auto()  # changes nothing in what is learned: a run may resume with another value
    LATER = enum.auto()  # came after the first model_dirs: where an experiment.json lacks it, its default was in force
    FOUND = enum.auto()  # describes the data that was found: no flag sets it
    USER_FUNCTION = enum.auto()  # may also be FILE.py:FUNCTION, a function of a user's file


class Setting(NamedTuple):
    """What is declared of a field beside its type and default."""

    group: str  # heading in --help
    help: str
    choices: Tuple[str, ...]
    limits: Optional[Limits]
    traits: Trait


def setting(
    default: Any,
    help: str,
    group: str,
    choices: Sequence[str] = (),
    limits: Optional[Limits] = None,
    traits: Trait = Trait.NONE,
) -> Any:
    """Returns a dataclass field.

    Args:
        default: Its value where neither a flag nor the recipe sets it; or `dict`, for an empty one.
        help: One sentence for --help.
        group: The heading of --help that it is listed under.
        choices: The only possible values, for a text.
        limits: The possible values, for anything else.
        traits: What is special about it.
    """
    record = Setting(group, help, tuple(choices), limits, traits)
    given: Any = {"default_factory": default, "hash": False} if isinstance(default, type) else {"default": default}
    return dataclasses.field(**given, metadata={_KEY: record, json_records.LATER: Trait.LATER in traits})


def in_group(group: str) -> Callable[..., Any]:
    """Returns `setting` for the fields of one group."""
    return functools.partial(setting, group=group)


def of(field: "dataclasses.Field[Any]") -> Setting:
    """Returns what `setting` declared of a field."""
    return field.metadata[_KEY]


def problem(field: "dataclasses.Field[Any]", value: Any) -> Optional[str]:
    """Returns what a field's value must be if it is not possible by itself, None if it is."""
    declared = of(field)
    if Trait.USER_FUNCTION in declared.traits:
        if user_code.is_reference(value):
            return None if user_code.parse(value).name == value else "the file's name without folders"
        if value not in declared.choices:
            return ", ".join(["one of " + declared.choices[0], *declared.choices[1:], "or FILE.py:FUNCTION"])
    if declared.choices and value not in declared.choices:
        return "one of " + ", ".join(declared.choices)
    if declared.limits and value is not None and not declared.limits.contain(value):
        return declared.limits.wanted
    return None
