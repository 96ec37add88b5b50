"""Functions of a notebook as files of their own."""

import linecache
import sys
import textwrap
import types
from typing import Any, Dict

import pytest

from estimator_mnist.user_code import written_out
from input_fns import InputError

CELL = """
import functools
import math
import numpy as np
import os.path as osp
from collections import OrderedDict as Ordered
from typing import List

WIDTHS = (8, 16)
NAMES = {"b", "a"}
TABLE = np.arange(4, dtype=np.float32).reshape(2, 2)
LARGEST = float("inf")
UNUSED = object()

def twice(function):
    @functools.wraps(function)
    def wrapper(*args):
        return 2 * function(*args)
    return wrapper

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - 1)

@twice
def total(experiment, limit=LARGEST) -> List[int]:
    numbers = [width for width in WIDTHS if even(width) and width < limit]
    return sum(numbers) + int(TABLE.sum()) + len(NAMES) + len(Ordered(a=math.pi)) + len(osp.join("a", "b"))

alias = total

def through_alias(experiment):
    return alias(experiment)

class Base:
    rate = 3

    def update(self, weight):
        return weight * WIDTHS[0]

class Lion(Base):
    slots = ("momentum",)

    def update(self, weight):
        return super().update(weight) + self.rate

def metric(labels, logits):
    return labels

metric.lower_is_better = True
"""
WRONG = """
import functools

class Thing:
    def __init__(self):
        pass

thing = Thing()
short = lambda x: x

def of_a_thing(experiment):
    return thing

def of_a_lambda(experiment):
    return short(1)

def of_nothing(experiment):
    return nothing

def around():
    captured = 3
    def inner(experiment):
        return captured
    return inner

inner = around()
part = functools.partial(of_nothing)
nameless = lambda experiment: 1
"""


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module __main__ as a notebook's kernel has it."""
    module = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", module)
    return module


def run_cell(module: types.ModuleType, source: str, name: str = "cell") -> Dict[str, Any]:
    """Runs a cell as a notebook does, whose lines tracebacks can show."""
    path = f"<{name}>"
    linecache.cache[path] = (len(source), None, source.splitlines(keepends=True), path)
    exec(compile(source, path, "exec"), module.__dict__)
    return module.__dict__


def loaded(content: bytes) -> Dict[str, Any]:
    """Returns the globals of a file that is run where nothing of the notebook is."""
    namespace: Dict[str, Any] = {"__name__": "elsewhere"}
    exec(compile(content, "elsewhere.py", "exec"), namespace)
    return namespace


def test_a_function_works_without_the_notebook(main):
    cell = run_cell(main, CELL)
    content = written_out.content_of(cell["total"], "model")
    assert loaded(content)["total"](None) == cell["total"](None) == 2 * (24 + 6 + 2 + 1 + 3)
    assert b"UNUSED" not in content and b"Lion" not in content


def test_a_function_under_another_name_keeps_it(main):
    cell = run_cell(main, CELL)
    namespace = loaded(written_out.content_of(cell["through_alias"], "model"))
    assert namespace["through_alias"](None) == cell["total"](None)


def test_a_class_brings_its_bases(main):
    cell = run_cell(main, CELL)
    lion = loaded(written_out.content_of(cell["Lion"], "optimizer"))["Lion"]
    assert lion.slots == ("momentum",) and lion().update(2) == 2 * 8 + 3


def test_what_was_set_on_a_function_is_kept(main):
    cell = run_cell(main, CELL)
    assert loaded(written_out.content_of(cell["metric"], "metric"))["metric"].lower_is_better is True


def test_equal_cells_give_equal_files_whatever_the_order_of_a_set(main):
    first = written_out.content_of(run_cell(main, CELL)["total"], "model")
    changed = CELL.replace('{"b", "a"}', '{"a", "b"}').replace("UNUSED = object()", "UNUSED = 1")
    assert written_out.content_of(run_cell(main, changed, "again")["total"], "model") == first
    edited = CELL.replace("(8, 16)", "(8, 18)")
    assert written_out.content_of(run_cell(main, edited, "edited")["total"], "model") != first


def test_functions_of_a_module_that_is_not_installed_come_along(main, tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("FACTOR = 3\n\ndef scaled(x):\n    return FACTOR * x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    cell = run_cell(
        main, "import mine\nfrom mine import scaled\ndef net(e):\n    return scaled(2)\ndef other(e):\n    return mine"
    )
    content = written_out.content_of(cell["net"], "model")
    assert loaded(content)["net"](None) == 6 and b"import" not in content
    with pytest.raises(InputError, match=r"model other: mine comes from .*mine\.py"):
        written_out.content_of(cell["other"], "model")


def test_annotations_that_are_not_evaluated_stay_so(main):
    cell = run_cell(
        main, "from __future__ import annotations\nclass A:\n    def f(self) -> A: ...\ndef net(e) -> A:\n    return 1"
    )
    assert loaded(written_out.content_of(cell["net"], "model"))["net"](None) == 1


@pytest.mark.parametrize(
    "name, named",
    [
        ("of_a_thing", "thing is a __main__.Thing"),
        ("of_a_lambda", "short is a lambda"),
        ("of_nothing", "nothing is not defined"),
        ("inner", "inner uses captured"),
        ("part", "is of type partial"),
        ("nameless", "is a lambda"),
        ("thing", "is of type Thing"),
    ],
)
def test_what_cannot_be_written_out_is_named(main, name, named):
    with pytest.raises(InputError, match=named):
        written_out.content_of(run_cell(main, WRONG)[name], "model")


def test_a_large_array_is_refused(main):
    cell = run_cell(main, "import numpy as np\nTABLE = np.zeros(10_001)\ndef net(e):\n    return TABLE")
    with pytest.raises(InputError, match="TABLE is an array of 10,001 numbers"):
        written_out.content_of(cell["net"], "model")


def test_a_source_that_was_edited_since_is_refused(main):
    cell = run_cell(main, "def net(e):\n    return e.classes\n", "edited")
    linecache.cache["<edited>"] = (0, None, ["def net(e):\n", "    return e.width\n"], "<edited>")
    with pytest.raises(InputError, match="net was edited in <edited>"):
        written_out.content_of(cell["net"], "model")


def test_a_function_without_source_is_refused(main):
    exec("def net(e):\n    return 1", main.__dict__)
    with pytest.raises(InputError, match="net has no source that can be found"):
        written_out.content_of(main.__dict__["net"], "model")


def test_what_is_installed_is_imported(main):
    source = """
        from contextlib import suppress as quiet
        import xml.dom.minidom

        def net(experiment):
            with quiet(KeyError):
                return xml.dom.minidom.parseString("<a/>").documentElement.tagName
        """
    content = written_out.content_of(run_cell(main, textwrap.dedent(source))["net"], "model")
    assert b"from contextlib import suppress as quiet\n" in content and b"import xml.dom.minidom\n" in content
    assert loaded(content)["net"](None) == "a"
