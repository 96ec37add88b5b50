"""Reads JSON files into dataclasses, checking every key and type before anything uses a value.

A file that a user may have edited, or a crash may have cut short, becomes either a valid record or one clear error.
"""

import dataclasses
import json
import math
import typing
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Tuple, Type, TypeVar, Union

Record = TypeVar("Record")
MAX_BYTES = 16 * 2**20  # the largest file of a run holds a number an epoch, about 20 bytes each
LATER = "later"  # key of a field's metadata: files of older versions lack the field
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", type(None): "null"}


class RecordError(ValueError):
    """The content is no such record: the text names the key, what is wrong, and what would be right."""


def read(path: Path, record: Type[Record]) -> Record:
    """Returns the record that a JSON file holds.

    Args:
        path: The file, local or remote.
        record: The dataclass. A field may be absent if its metadata has LATER; then its default counts.

    Raises:
        FileNotFoundError: There is no such file.
        OSError: It cannot be read.
        RecordError: It holds no such record.
        InputError: The record's own check refuses a value.
    """
    if path.exists() and not path.is_file():
        raise RecordError("it is no regular file")
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise RecordError(f"it has {size:,} bytes; at most {MAX_BYTES:,} are possible")
    return build(parse(path.read_bytes()), record)


def parse(content: bytes) -> Any:
    """Returns the value of a JSON text.

    Raises:
        RecordError: It is no JSON, is nested too deeply, repeats a key, or holds a number that is not finite.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecordError(f"byte {error.start} is not UTF-8") from error
    try:
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except RecordError:
        raise
    except RecursionError as error:
        raise RecordError("it is nested too deeply") from error
    except ValueError as error:  # JSONDecodeError, and numbers of thousands of digits
        raise RecordError(f"it is no JSON: {error}") from error


def build(value: Any, record: Type[Record]) -> Record:
    """Returns the record that a parsed JSON value describes; see `read`.

    Raises:
        RecordError: A key is missing or unknown, or a value has another type than its field.
        InputError: The record's own check refuses a value.
    """
    return _record(value, record, "")


def typed(value: Any, kind: Any, name: str) -> Any:
    """Returns a value as the type of a field has it: a list as a tuple, a whole number as a float.

    Args:
        value: As JSON has it, or a tuple.
        kind: The type of a record's field.
        name: Of the value, for messages.

    Raises:
        RecordError: The value has another type.
    """
    return _typed(value, kind, name)


def _unique_keys(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    values: Dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise RecordError(f"{_quoted(key)} occurs twice; give it once")
        values[key] = value
    return values


def _refuse_constant(constant: str) -> None:
    raise RecordError(f"{constant} is no number of JSON; give a finite one")


def _record(value: Any, record: Type[Record], place: str) -> Record:
    if not isinstance(value, dict):
        raise _wrong(value, place, "an object with keys")
    fields = {field.name: field for field in dataclasses.fields(record)}  # type: ignore[arg-type]
    prefix = f"{place}." if place else ""
    missing = [name for name, field in fields.items() if name not in value and not field.metadata.get(LATER)]
    if missing:
        raise RecordError(f"{prefix}{missing[0]} is missing")
    unknown = [key for key in value if key not in fields]
    if unknown:
        raise RecordError(f"{_quoted(prefix + unknown[0])} is no key of this version; remove it")
    types = typing.get_type_hints(record)
    return record(**{name: _typed(item, types[name], prefix + name) for name, item in value.items()})


def _typed(value: Any, kind: Any, place: str) -> Any:
    """Returns a JSON value as a type has it: a list as a tuple, a whole number as a float.

    Args:
        value: The parsed value.
        kind: bool, int, float, str, a dataclass, or Optional, Tuple, List or Dict of such types.
        place: Its place for messages: "final.test_loss".
    """
    read_generic: Optional[Callable[[Any, Any, str], Any]] = _GENERIC.get(typing.get_origin(kind))
    if read_generic:
        return read_generic(value, kind, place)
    if dataclasses.is_dataclass(kind):
        return _record(value, typing.cast(Type[Any], kind), place)
    if kind is float and type(value) is int and abs(value) <= 2**53:  # so far every whole number has its own float
        return float(value)
    if type(value) is not kind:  # not isinstance: a bool is an int to Python
        raise _wrong(value, place, _NAMES[kind])
    if kind is int and abs(value) >= 2**63:
        raise RecordError(f"{place} does not fit 64 bits; give a smaller whole number")
    if kind is float and not math.isfinite(value):
        raise RecordError(f"{place} is not finite; give a finite number")
    return value


def _optional(value: Any, kind: Any, place: str) -> Any:
    (inner,) = [argument for argument in typing.get_args(kind) if argument is not type(None)]
    return None if value is None else _typed(value, inner, place)


def _tuple(value: Any, kind: Any, place: str) -> Tuple[Any, ...]:
    items, kinds = _list(value, place), typing.get_args(kind)
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(items)
    if len(kinds) != len(items):
        raise RecordError(f"{place} has {len(items)} items; it must have {len(kinds)}")
    return tuple(_typed(item, kind, f"{place}[{index}]") for index, (item, kind) in enumerate(zip(items, kinds)))


def _list(value: Any, place: str) -> List[Any]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(value, place, "a list")
    return list(value)


def _list_of(value: Any, kind: Any, place: str) -> List[Any]:
    (inner,) = typing.get_args(kind)
    return [_typed(item, inner, f"{place}[{index}]") for index, item in enumerate(_list(value, place))]


def _dict_of(value: Any, kind: Any, place: str) -> Dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(value, place, "an object with keys")
    _, inner = typing.get_args(kind)
    return {key: _typed(item, inner, f"{place}.{key}") for key, item in value.items()}


_GENERIC: Dict[Any, Callable[[Any, Any, str], Any]] = {Union: _optional, tuple: _tuple, list: _list_of, dict: _dict_of}


def _wrong(value: Any, place: str, wanted: str) -> RecordError:
    return RecordError(f"{place or 'the content'} is {_described(value)}; it must be {wanted}")


def _described(value: Any) -> str:
    """Returns a value in a few words: it may be huge, or nested deeper than `repr` can follow."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return "a huge number"
    if not isinstance(value, (bool, int, float, str, type(None))):  # from Python, not from a file
        return f"of type {type(value).__name__}"
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _quoted(text: str) -> str:
    return json.dumps(text if len(text) <= 60 else f"{text[:60]}...", ensure_ascii=False)
