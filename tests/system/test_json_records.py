"""A JSON file becomes a record of the right types, or one error that names the key."""

import json
import os
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator_mnist.system import json_records
from estimator_mnist.system.json_records import RecordError


@dataclass(frozen=True)
class Inner:
    loss: float
    steps: List[int]


@dataclass(frozen=True)
class Outer:
    name: str
    shape: Tuple[int, int]
    names: Tuple[str, ...]
    inner: Inner
    seconds: Dict[str, float]
    on: bool = False
    limit: Optional[int] = None
    added: int = field(default=7, metadata={json_records.LATER: True})


VALID: Dict[str, Any] = {
    "name": "é",
    "shape": [28, 1],
    "names": ["a", "b"],
    "inner": {"loss": 0.5, "steps": [1, 2]},
    "seconds": {"training": 1},
    "on": True,
    "limit": None,
}
RECORD = Outer("é", (28, 1), ("a", "b"), Inner(0.5, [1, 2]), {"training": 1.0}, True, None, 7)


def test_a_valid_file_is_read_with_its_types(tmp_path):
    for encoding in ("utf-8", "utf-8-sig"):
        (tmp_path / "record.json").write_text(json.dumps(VALID, ensure_ascii=False), encoding=encoding)
        record = json_records.read(tmp_path / "record.json", Outer)
        assert record == RECORD and type(record.seconds["training"]) is float


def without(key: str) -> Dict[str, Any]:
    return {name: value for name, value in VALID.items() if name != key}


@pytest.mark.parametrize(
    "value, message",
    [
        ([], "the content is a list; it must be an object with keys"),
        (None, "the content is null; it must be an object with keys"),
        (without("name"), "name is missing"),
        ({**VALID, "more": 1}, '"more" is no key of this version; remove it'),
        ({**VALID, "name": 5}, "name is 5; it must be a text"),
        ({**VALID, "on": 1}, "on is 1; it must be true or false"),
        ({**VALID, "limit": True}, "limit is true; it must be a whole number"),
        ({**VALID, "limit": 1.0}, "limit is 1.0; it must be a whole number"),
        ({**VALID, "limit": 2**63}, "limit does not fit 64 bits; give a smaller whole number"),
        ({**VALID, "shape": [28, 28, 1]}, "shape has 3 items; it must have 2"),
        ({**VALID, "shape": 28}, "shape is 28; it must be a list"),
        ({**VALID, "names": ["a", 3]}, "names[1] is 3; it must be a text"),
        ({**VALID, "names": "ab"}, 'names is "ab"; it must be a list'),
        ({**VALID, "inner": [0.5, []]}, "inner is a list; it must be an object with keys"),
        ({**VALID, "inner": {"loss": 0.5}}, "inner.steps is missing"),
        ({**VALID, "inner": {"loss": 0.5, "steps": [], "x": 1}}, '"inner.x" is no key of this version; remove it'),
        ({**VALID, "inner": {"loss": "low", "steps": []}}, 'inner.loss is "low"; it must be a number'),
        ({**VALID, "inner": {"loss": 2**53 + 1, "steps": []}}, f"inner.loss is {2**53 + 1}; it must be a number"),
        ({**VALID, "inner": {"loss": 10**400, "steps": []}}, "inner.loss is a huge number; it must be a number"),
        ({**VALID, "inner": {"loss": 0.5, "steps": [1, {}]}}, "inner.steps[1] is an object; it must be a whole number"),
        ({**VALID, "seconds": {"training": None}}, "seconds.training is null; it must be a number"),
        ({**VALID, "name": ["x" * 9999]}, "name is a list; it must be a text"),
        ({**VALID, "limit": "x" * 9999}, f'limit is "{"x" * 60}..."; it must be a whole number'),
    ],
)
def test_a_wrong_value_is_named_by_its_key(value, message):
    with pytest.raises(RecordError) as caught:
        json_records.build(json_records.parse(json.dumps(value).encode()), Outer)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "it is no JSON: "),
        (b'{"a": 1', "it is no JSON: "),
        (b'{"a": NaN}', "NaN is no number of JSON"),
        (b"[-Infinity]", "-Infinity is no number of JSON"),
        (b'{"a": {"b": 1, "b": 2}}', '"b" occurs twice'),
        (b"\xff\xfe{}", "byte 0 is not UTF-8"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
        (b"9" * 5000, "it is no JSON: "),
    ],
)
def test_what_is_no_json_is_refused(content, message):
    with pytest.raises(RecordError, match=message.replace("-", r"\-")):
        json_records.parse(content)


def test_a_number_that_overflows_is_refused():
    content = json.dumps({**VALID, "inner": {"loss": 12345, "steps": []}}).replace("12345", "1e999")
    with pytest.raises(RecordError, match=r"inner\.loss is not finite"):
        json_records.build(json_records.parse(content.encode()), Outer)


def test_files_that_never_end_are_refused(tmp_path):
    (tmp_path / "zero").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name in ("zero", "fifo", "folder"):
        with pytest.raises(RecordError, match="no regular file"):
            json_records.read(tmp_path / name, Outer)
    with open(tmp_path / "large", "wb") as file:
        file.truncate(2**40)  # sparse
    with pytest.raises(RecordError, match="it has 1,099,511,627,776 bytes"):
        json_records.read(tmp_path / "large", Outer)
    with pytest.raises(FileNotFoundError):
        json_records.read(tmp_path / "none", Outer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, derandomize=True, max_examples=500)
@given(st.sampled_from([*VALID, "inner.loss", "inner.steps"]), JSON)
def test_any_value_for_any_key_gives_a_record_or_one_line(key, value):
    first, _, second = key.partition(".")
    values = {**VALID, first: {**VALID[first], second: value} if second else value}
    try:
        record = json_records.build(values, Outer)
        assert isinstance(record.shape, tuple) and isinstance(record.inner, Inner)
        assert all(type(step) is int for step in record.inner.steps) and type(record.inner.loss) is float
    except RecordError as error:
        assert key.split(".")[0] in str(error) and len(str(error)) < 300
