"""Separate environments: made once, made again when their requirements change, and nothing else is ever deleted."""

import subprocess
from pathlib import Path

import pytest

from estimator_mnist.export import isolated_venv
from estimator_mnist.system.errors import RunError


@pytest.fixture
def requirements(tmp_path: Path) -> Path:
    """Requirements that need no network, for they name no package."""
    path = tmp_path / "requirements.txt"
    path.write_text("# none\n")
    return path


def python_of(requirements: Path, folder: Path) -> str:
    return isolated_venv.python_of(requirements, folder, lambda line: None)


def test_an_environment_is_made_once_and_again_when_its_requirements_change(requirements, tmp_path):
    folder = tmp_path / "venv"
    folder.mkdir()  # an empty folder may be used
    lines = []
    for _ in range(2):
        python = isolated_venv.python_of(requirements, folder, lines.append)
    assert len(lines) == 1 and str(folder) in lines[0]
    prefix = subprocess.check_output([python, "-I", "-c", "import sys; print(sys.prefix)"], text=True).strip()
    assert Path(prefix) == folder and (folder / isolated_venv.MARKER).is_file()
    (folder / "old").touch()
    (folder / isolated_venv.MARKER).unlink()  # as in the environments of earlier versions
    requirements.write_text("# still none\n")
    isolated_venv.python_of(requirements, folder, lines.append)
    assert len(lines) == 2 and not (folder / "old").exists()
    assert (folder / "installed.txt").read_text() == "# still none\n"


def test_an_incomplete_environment_is_made_again(requirements, tmp_path):
    requirements.write_text("--no-index\nno-such-package==1.0\n")
    with pytest.raises(RunError, match=r"requirements\.txt: could not be installed"):
        python_of(requirements, tmp_path / "venv")
    assert (tmp_path / "venv" / isolated_venv.MARKER).is_file()
    requirements.write_text("# none\n")
    assert Path(python_of(requirements, tmp_path / "venv")).is_file()


def test_a_folder_that_this_project_has_not_made_is_refused_and_kept(requirements, tmp_path):
    folder = tmp_path / "venv"
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(RunError) as refusal:
        python_of(requirements, folder)
    assert str(refusal.value).startswith(f"{folder}: was not made by this project; ") and "\n" not in str(refusal.value)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_link_to_another_folder_is_not_followed_to_delete_it(requirements, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / isolated_venv.MARKER).touch()
    (other / "thesis.txt").write_text("precious")
    (tmp_path / "venv").symlink_to(other)
    with pytest.raises(RunError, match="cannot be made"):
        python_of(requirements, tmp_path / "venv")
    assert (other / "thesis.txt").read_text() == "precious"


def test_no_module_of_the_current_folder_is_run(requirements, tmp_path, monkeypatch):
    current = tmp_path / "downloads"
    current.mkdir()
    for name in ("json", "platform", "ensurepip", "pip"):
        (current / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nraise SystemExit(99)\n")
    monkeypatch.chdir(current)
    python_of(requirements, tmp_path / "venv")
    assert not (tmp_path / "ran").exists()
