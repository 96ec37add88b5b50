"""The tests, modules and files that the documents name exist."""

import re
from pathlib import Path

import pytest
from support import ROOT

DOCUMENTS = [ROOT / name for name in ("README.md", "BUILD_NOTES.md", "docs/leaving-estimator.md")]
CODE = [path for top in ("estimator_mnist", "input_fns", "benchmarks", "tests") for path in (ROOT / top).rglob("*.py")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document: Path):
    functions = {name for path in CODE for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    named = set(re.findall(r"`(test_\w+)`", document.read_text()))
    assert not named - functions


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_that_a_document_names_exists(document: Path):
    existing = {str(path.relative_to(ROOT)) for path in CODE}
    for name in re.findall(r"[\w/]+\.py\b", document.read_text()):
        assert any(f"/{path}".endswith(f"/{name}") for path in existing), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_resolves(document: Path):
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)  # code has "[0](x)", too
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose):
        assert (document.parent / target).exists(), target
