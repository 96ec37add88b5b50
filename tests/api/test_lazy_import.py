"""import estimator_mnist as em: what it costs, and what it offers."""

import ast
import sys

import pytest
from support import ROOT

import estimator_mnist as em

IMPORT = """
    import sys, time
    began = time.perf_counter()
    import estimator_mnist
    print(time.perf_counter() - began, *(name in sys.modules for name in ("numpy", "absl", "tensorflow")))
    """
FLAGS = """
    import logging
    import absl.flags, absl.logging, tensorflow, tensorflow_datasets
    import tensorflow_estimator
    before = set(absl.flags.FLAGS)
    import estimator_mnist as em
    for name in em.__all__:
        getattr(em, name)
    em.train("dense", "sample", model_dir="run", train_steps=1, verbose=False).evaluate()
    print(*(set(absl.flags.FLAGS) - before))
    """


def test_the_import_takes_no_time_and_imports_nothing_large(program):
    for _ in range(5):  # a busy machine may be slow once
        seconds, *imported = program(IMPORT).stdout.split()
        assert imported == ["False"] * 3
        if float(seconds) < 0.1:
            return
    raise AssertionError(seconds)


def test_no_flags_are_defined(program):
    assert program(FLAGS).stdout.split() == []


def test_every_name_is_there():
    assert set(em.__all__) <= set(dir(em))
    for name in em.__all__:
        assert callable(getattr(em, name)), name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        em.nothing  # noqa: B018


def test_type_checkers_see_every_name():
    tree = ast.parse((ROOT / "estimator_mnist" / "__init__.py").read_text())
    (checked,) = [node for node in tree.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)]
    seen = {
        alias.asname or alias.name: (node.module, alias.name)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == em._PLACES
    assert set(seen) == set(em.__all__)
    assert all(getattr(sys.modules[module], name) is getattr(em, key) for key, (module, name) in seen.items())
