"""Lint, format, types, the direction of imports and the size of everything are part of the tests."""

import ast
import graphlib
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Dict, Iterator, List, Set, Tuple, Union

import pytest
from support import ROOT

PACKAGES = ("estimator_mnist", "input_fns")
# From top to bottom. A module imports from its own floor and from those below, at its top and within functions.
FLOORS = (
    "estimator_mnist",  # its __init__: the public Python API
    "estimator_mnist.__main__",
    "estimator_mnist.api",
    "estimator_mnist.cli",
    "estimator_mnist.pipeline",
    "estimator_mnist.sweep",
    "estimator_mnist.report",
    "estimator_mnist.export",
    "estimator_mnist.predict",
    "estimator_mnist.evaluation",
    "estimator_mnist.training",
    "estimator_mnist.model",
    "estimator_mnist.model_dir",
    "estimator_mnist.distribute",
    "estimator_mnist.config",
    "estimator_mnist.architectures",
    "estimator_mnist.layers",
    "estimator_mnist.user_code",
    "estimator_mnist.system",
    "input_fns",
)
MOST_LINES_OF_A_FILE = 250
MOST_LINES_OF_A_FUNCTION = 60
MOST_PARAMETERS = 7
# A signature kept for users of Estimator, who call it with keywords, as they call any input_fn.
MANY_PARAMETERS = {"input_fns/__init__.py": {"train_input_fn"}}
# File names that two rooms share, and the folders that may: there the folder's name says which is meant.
SHARED_NAMES = {
    "command": {"sweep", "export", "predict"},  # the code behind a word of the command line
    "errors": {"input_fns", "system"},  # what each package raises
    "hooks": {"training", "training/cluster"},
    "losses": {"model", "architectures/lenet5_1998"},
    "network": {"layers", "architectures/lenet5_1998"},
}
# Words that newcomers stumbled over, in two parts each, so that this file is searched like all others.
STUMBLED_OVER = (
    ("a", "mid"),
    ("hang ", "on"),
    ("hangs ", "on"),
    ("stands ", "in"),
    ("is to ", "be had"),
    ("for ", "to"),
)
BANNED = re.compile(rf"\b({'|'.join(map(''.join, STUMBLED_OVER))})\b")
TEXT = {".py", ".sh", ".html", ".css", ".js", ".j2", ".jinja", ".txt", ".in", ".md"}

Function = Union[ast.FunctionDef, ast.AsyncFunctionDef]


@pytest.mark.parametrize("words", [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]], ids=" ".join)
def test_code_is_clean(words):
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


# Imports.


def test_imports_run_down_the_floors():
    uses, faults = all_imports(), []
    assert sum(map(len, uses.values())) > 100
    for module, targets in uses.items():
        faults += [f"{module} imports {target}" for target in targets if floor(target) < floor(module)]
    assert not faults, "\n".join(sorted(faults))


def test_every_floor_is_there():
    there = {room(module) for module in module_paths()}
    assert there <= set(FLOORS), f"declare the floor of {there - set(FLOORS)}"
    assert set(FLOORS) <= there, f"there is no module on {set(FLOORS) - there}"


@pytest.mark.parametrize(
    "package, others", [("input_fns", {"estimator_mnist", "benchmarks"}), ("estimator_mnist", {"benchmarks"})]
)
def test_a_package_imports_no_package_above_it(package, others):
    paths = list(python_files(package))
    assert len(paths) > 10
    for path in paths:
        roots = {name.partition(".")[0] for name, _ in import_statements(path, ".".join(module_name(path)))}
        assert not roots & (others | {"tests", "support", "conftest"}), path


def test_imports_run_in_no_circle():
    assert list(graphlib.TopologicalSorter(all_imports()).static_order())  # raises CycleError, which names the circle


def all_imports() -> Dict[str, Set[str]]:
    """Returns for each module of both packages those that it imports, of both packages."""
    modules = module_paths()
    uses: Dict[str, Set[str]] = {}
    for module, path in modules.items():
        uses[module] = set()
        for name, attribute in import_statements(path, module):
            # `from package import module` needs the module. `from package import name` needs the package's __init__.
            target = f"{name}.{attribute}" if f"{name}.{attribute}" in modules else name
            if target in modules and target != module:
                uses[module].add(target)
    return uses


def import_statements(path: Path, module: str) -> Iterator[Tuple[str, str]]:
    """Yields (module, name taken from it or "") of each import in a file, wherever it is."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((name, alias.name) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ("import_module", "__import__"):
                yield str(node.args[0].value), ""


def python_files(*folders: str) -> Iterator[Path]:
    """Yields the Python files of some folders of the project, without those of virtual environments in them."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
                yield path


def module_name(path: Path) -> Tuple[str, ...]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[:-1] if parts[-1] == "__init__" else parts


def module_paths() -> Dict[str, Path]:
    """Returns the files of both packages by the names of their modules."""
    return {".".join(module_name(path)): path for path in python_files(*PACKAGES)}


def room(module: str) -> str:
    """Returns the floor's name: the first two parts of a module's name in estimator_mnist, else its package."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "estimator_mnist" else parts[0]


def floor(module: str) -> int:
    """Returns the place of a module's room in FLOORS: the smaller, the higher."""
    return FLOORS.index(room(module))


# Sizes.


def test_a_file_fits_one_sitting():
    paths = [*python_files(*PACKAGES, "benchmarks"), ROOT / "run.sh"]
    lines = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert not {path: count for path, count in lines.items() if count > MOST_LINES_OF_A_FILE}


def test_a_function_takes_few_parameters():
    faults = []
    for path, function in functions():
        exempt = MANY_PARAMETERS.get(path, set())
        if len(parameters(function)) > MOST_PARAMETERS and function.name not in exempt:
            faults.append(f"{path}:{function.lineno}: {function.name} takes {len(parameters(function))}")
    assert not faults, "\n".join(faults)


def test_every_exception_for_many_parameters_is_needed():
    many = {(path, function.name) for path, function in functions() if len(parameters(function)) > MOST_PARAMETERS}
    assert {(path, name) for path, names in MANY_PARAMETERS.items() for name in names} <= many


def test_a_function_fits_one_screen():
    faults = []
    for path, function in functions():
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > MOST_LINES_OF_A_FUNCTION:
            faults.append(f"{path}:{function.lineno}: {function.name} has {lines} lines")
    assert not faults, "\n".join(faults)


def functions() -> Iterator[Tuple[str, Function]]:
    """Yields (path, definition) of each function and method of the packages and the benchmarks."""
    for path in python_files(*PACKAGES, "benchmarks"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield str(path.relative_to(ROOT)), node


def parameters(function: Function) -> List[str]:
    """Returns the names of a function's parameters but `self` and `cls`."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    return [argument.arg for argument in every if argument.arg not in ("self", "cls")]


# Names and words.


def test_a_file_name_has_one_meaning():
    folders = defaultdict(set)
    for path in python_files(*PACKAGES):
        folder = path.parent.relative_to(ROOT)
        folders[path.stem].add("/".join(folder.parts[1:]) if folder.parts[0] == "estimator_mnist" else str(folder))
    folders.pop("__init__")
    shared = {name: places for name, places in folders.items() if len(places) > 1}
    assert not {name: places for name, places in shared.items() if not places <= SHARED_NAMES.get(name, set())}


def test_no_word_that_newcomers_stumble_over():
    texts = [
        path
        for folder in (*PACKAGES, "benchmarks", "deploy", "docs", "examples", "tests")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in TEXT and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    ]
    faults = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in [*texts, *sorted(ROOT.glob("*.md")), ROOT / "run.sh"]
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if BANNED.search(line)
    ]
    assert not faults, "\n".join(faults)


def test_the_words_are_found():
    for first, second in STUMBLED_OVER:
        assert BANNED.search(f"All that {first}{second} the seed.")
        assert not BANNED.search(f"All that{first.strip()}{second}ships.")
