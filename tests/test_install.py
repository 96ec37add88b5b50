"""The wheel, installed into an environment of its own and used from another folder, and where it cannot be used."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path
from typing import Iterator, List, Set

import pytest
from support import PATIENCE, ROOT, module_command

PACKAGES = ("benchmarks", "estimator_mnist", "input_fns")
DATA = {  # what code reads, or tools look for, beside the modules
    "benchmarks/requirements-jax.txt",
    "benchmarks/requirements-torch.txt",
    "estimator_mnist/export/requirements-keras.lock",
    "estimator_mnist/py.typed",
    "estimator_mnist/report/templates/notebook.html",
    "estimator_mnist/report/templates/report.html",
    "input_fns/py.typed",
}
ON_WINDOWS = "import os; os.name = 'nt'; "
ON_PYTHON_3_12 = "import sys; sys.version_info = (3, 12, 0, 'final', 0); "
AS_A_PROGRAM = "import runpy; runpy.run_module('estimator_mnist', run_name='__main__')"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the checkout, because building leaves files beside the sources."""
    source, output = tmp_path_factory.mktemp("build") / "project", tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "runs")
    shutil.copytree(ROOT, source, ignore=left_out)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(output)], cwd=source, check=True, capture_output=True)
    (path,) = output.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command that pip installs, in an environment that borrows all other packages from this one."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    # With this environment's own pip where it has one: another copy takes seconds to unpack.
    borrowing = importlib.util.find_spec("pip") is not None
    venv.create(folder, with_pip=not borrowing)
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-I", "-m", "pip", "--python", python] if borrowing else [python, "-I", "-m", "pip"]
    words = ["install", "-qq", "--no-deps", "--no-index", "--disable-pip-version-check", str(wheel)]
    subprocess.run([*pip, *words], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
    return folder / "bin" / "estimator-mnist"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with files that have the names of modules, none of which may be run."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    for name in ("estimator_mnist", "input_fns", "json", "numpy", "tensorflow", "runpy"):
        (folder / f"{name}.py").write_text("raise SystemExit('a module of the current folder was run')\n")
    return folder


def call(folder: Path, *words: object, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        list(map(str, words)),
        cwd=folder,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def modules() -> Iterator[str]:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if not any(part.startswith(".") for part in path.relative_to(ROOT).parts):
                yield path.relative_to(ROOT).as_posix()


# The wheel.


def test_the_wheel_holds_the_packages_with_their_data_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == {*modules(), *DATA}


def test_every_data_file_of_the_packages_is_known():
    others: Set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*"):
            parts = path.relative_to(ROOT).parts
            hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
            if path.is_file() and not hidden and path.suffix not in (".py", ".in"):
                others.add("/".join(parts))
    assert others == DATA


def test_the_wheel_needs_no_tools_of_the_tests(wheel):
    (metadata,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".dist-info/METADATA"))
    text = zipfile.ZipFile(wheel).read(metadata).decode()
    needed = {re.split(r"[\W]", line)[0]: line for line in re.findall(r"^Requires-Dist: (.*)$", text, re.MULTILINE)}
    assert "Requires-Python: <3.12,>=3.9" in text
    assert all('extra == "test"' in needed[name] for name in ("pytest", "mypy", "ruff", "nbclient", "hypothesis"))
    assert not any("extra" in needed[name] for name in ("matplotlib", "optuna", "onnxruntime"))


# The installed command.


def test_the_installed_command_shows_how_it_is_called_and_runs_no_module_of_the_folder(program, elsewhere):
    done = call(elsewhere, program, "--help", COLUMNS="100")
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("estimator-mnist [command]") and "run.sh" not in done.stdout


def test_the_installed_command_trains_reports_and_exports_from_another_folder(program, elsewhere):
    trained = call(elsewhere, program, "--model", "dense", "--source", "sample", "--train_steps", "20")
    assert trained.returncode == 0 and trained.stderr == "", trained.stderr
    assert "TensorBoard: estimator-mnist tensorboard --logdir runs/mnist-dense" in trained.stdout
    model_dir = elsewhere / "runs" / "mnist-dense"
    assert json.loads((model_dir / "results.json").read_text())["global_step"] == 20
    assert "estimator-mnist --model dense --source=sample" in (model_dir / "report.html").read_text()
    (model_dir / "report.html").unlink()
    done = call(elsewhere, program, "report", "--model_dir", model_dir)
    assert done.returncode == 0 and (model_dir / "report.html").is_file(), done.stderr
    done = call(elsewhere, program, "export", "--model_dir", model_dir, "--formats", "saved_model")
    assert done.returncode == 0 and "saved_model" in done.stdout, done.stderr


def test_the_installed_package_has_the_files_that_other_environments_are_made_of(program, tmp_path):
    code = (
        "from pathlib import Path; import benchmarks; from estimator_mnist.export import isolated_venv; "
        "print(isolated_venv.place('jax', Path(benchmarks.__file__).parent)); "
        "print(Path(isolated_venv.__file__).with_name('requirements-keras.lock').is_file()); "
        "print(Path(benchmarks.__file__).with_name('requirements-jax.txt').is_file())"
    )
    done = call(tmp_path, program.with_name("python"), "-I", "-c", code, XDG_CACHE_HOME=str(tmp_path))
    version = ".".join(map(str, sys.version_info[:2]))
    assert done.stdout.split() == [str(tmp_path / "estimator_mnist" / f"venv-jax-{version}"), "True", "True"]


def test_the_installed_command_says_in_one_line_where_the_tests_are(program, elsewhere):
    done = call(elsewhere, program, "test")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        "error: test: the package holds no tests; clone the project, and run bash run.sh test there\n"
    )


def test_the_test_command_collects_only_this_project_s_tests_from_any_folder(tmp_path):
    (tmp_path / "test_other.py").write_text("def test_of_another_project(): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = .\n")
    flags = [
        "--collect-only",
        "-qq",
        "-p",
        "no:cacheprovider",
        "--ignore-glob=*/tests/[a-r]*/*",
    ]  # most import for long
    done = call(tmp_path, *module_command("estimator_mnist", "test", *flags))
    lines = [line for line in done.stdout.splitlines() if ".py" in line]
    assert len(lines) > 3 and all(line.startswith("tests/") for line in lines), done.stdout


# Where it cannot be used.


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        (ON_PYTHON_3_12, "Python 3.12 is not possible.*install python3.11, or uv"),
        (ON_WINDOWS, "Windows.*WSL2.*container"),
    ],
    ids=["Python 3.12", "Windows"],
)
def test_another_python_or_system_gets_one_line_that_says_what_to_do(machine, words, tmp_path):
    python = [sys.executable, "-c"]
    imported = call(tmp_path, *python, f"{machine}import estimator_mnist; estimator_mnist.train", PYTHONPATH=str(ROOT))
    assert imported.returncode == 1
    assert re.match(f"ImportError: {words}", imported.stderr.splitlines()[-1])
    # Python calls a program so while it looks for it, and so does run_module.py.
    for name in ("-m", "estimator_mnist"):
        code = f"{machine}import sys; sys.argv = ['{name}']; {AS_A_PROGRAM}"
        done = call(tmp_path, *python, code, PYTHONPATH=str(ROOT))
        assert done.returncode == 2 and re.match(f"error: {words}.*\n$", done.stderr), done.stderr


def test_run_sh_says_on_windows_what_to_do(tmp_path):
    shutil.copy(ROOT / "run.sh", tmp_path)
    done = call(tmp_path, "bash", "run.sh", OSTYPE="msys")
    assert done.returncode == 2 and done.stdout == ""
    assert re.match(r"run\.sh: Windows .*WSL2.*container.*\n$", done.stderr)


# The locks.


def names_and_versions(path: Path) -> Set[str]:
    """Returns "name==version" of everything that a lock file pins."""
    text = path.read_text()
    if path.suffix == ".lock" and path.stem == "uv":
        pairs = re.findall(r'^name = "([^"]+)"\nversion = "([^"]+)"\nsource = { registry', text, re.MULTILINE)
    else:
        pairs = re.findall(r"^([\w.-]+)(?:\[[^\]]*\])?==([^\s;]+)", text, re.MULTILINE)
    return {f"{name}=={version}" for name, version in pairs}


def test_uv_run_installs_what_run_sh_installs():
    ours = names_and_versions(ROOT / "requirements.lock") | names_and_versions(ROOT / "requirements-gpu.lock")
    assert len(ours) > 200 and names_and_versions(ROOT / "uv.lock") == ours


def test_the_lock_holds_everything_that_pyproject_asks_for():
    text = (ROOT / "pyproject.toml").read_text()
    section = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    asked: List[str] = re.findall(r'^ *"([\w-]+)', section, re.MULTILINE)
    locked = {pin.partition("==")[0] for pin in names_and_versions(ROOT / "requirements.lock")}
    assert len(asked) > 25 and {name.lower() for name in asked} <= locked
