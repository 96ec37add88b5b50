"""The tests, modules and files that the documents name exist."""

import re
from pathlib import Path

import pytest
from support import ROOT

DOCUMENTS = [ROOT / "README.md", ROOT / "BUILD_NOTES.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("estimator_mnist", "input_fns", "benchmarks", "tests", "examples")
CODE = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
KEYS = {"test_accuracy", "test_loss", "test_examples", "test_fraction"}  # of results and settings: no tests
# Files of users that the documents speak of.
OF_USERS = re.compile(r"FILE\.py|(my_nets|mine|net|small|gated|make_arrays)\.py")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document: Path):
    functions = {name for path in CODE for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)}
    named = set(re.findall(r"`(test_\w+)`", document.read_text()))
    assert not named - functions - KEYS


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_module_that_a_document_names_exists(document: Path):
    existing = {str(path.relative_to(ROOT)) for path in CODE}
    for name in re.findall(r"[\w/]+\.py\b", document.read_text()):
        if OF_USERS.fullmatch(name.rpartition("/")[2]):
            continue
        assert any(f"/{path}".endswith(f"/{name.lstrip('/')}") for path in existing), name


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_of_a_document_resolves(document: Path):
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)  # code has "[0](x)", too
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose):
        assert (document.parent / target).exists(), target
