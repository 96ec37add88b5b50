"""run.sh: makes .venv once, repairs it, and does not mind a second call beside it."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from support import PATIENCE, ROOT, wait_until


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with nothing to install, and a program that prints its words."""
    folder = tmp_path / "a project"  # a space in the path is a user's right
    (folder / "estimator_mnist").mkdir(parents=True)
    (folder / "estimator_mnist" / "__init__.py").touch()
    (folder / "estimator_mnist" / "__main__.py").write_text("import sys\nprint(sys.argv[1:])\n")
    (folder / "estimator_mnist" / "system").mkdir()
    shutil.copy(ROOT / "estimator_mnist" / "system" / "run_module.py", folder / "estimator_mnist" / "system")
    shutil.copy(ROOT / "run.sh", folder)
    for name in ("requirements.lock", "requirements-gpu.lock", "requirements-build.lock"):
        (folder / name).write_text(f"# nothing: {name}\n")
    return folder


def start(project: Path, *words: str, **env: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        ["bash", str(project / "run.sh"), *words],
        cwd=project.parent,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def call(project: Path, *words: str, **env: str) -> "subprocess.CompletedProcess[str]":
    process = start(project, *words, **env)
    out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_words_are_passed_on_as_they_are(project):
    done = call(project, "predict", "a b.png", "--flag=*", "")
    assert done.returncode == 0 and done.stdout.endswith("['predict', 'a b.png', '--flag=*', '']\n")


def test_the_environment_is_made_once_and_again_when_the_lock_changes(project):
    assert "making .venv" in call(project).stderr
    made = (project / ".venv" / "pyvenv.cfg").stat().st_mtime_ns
    assert call(project).stderr == ""
    assert (project / ".venv" / "pyvenv.cfg").stat().st_mtime_ns == made
    (project / "requirements.lock").write_text("# changed\n")
    assert "making .venv" in call(project).stderr
    assert call(project).stderr == ""


def test_a_call_that_was_killed_is_repaired_by_the_next(project):
    process = start(project)
    wait_until((project / ".venv").exists, every=0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (project / ".venv" / "installed.lock").exists()
    done = call(project, "after")
    assert done.returncode == 0 and "['after']" in done.stdout


def test_a_symbolic_link_in_another_project_leaves_that_project_s_environment_alone(project, tmp_path):
    other = tmp_path / "other project"
    (other / ".venv" / "lib").mkdir(parents=True)
    (other / "tools").mkdir()
    (other / "run.sh").symlink_to(project / "run.sh")
    (other / "tools" / "relative.sh").symlink_to("../run.sh")
    for name in ("run.sh", "tools/relative.sh"):
        done = subprocess.run(["bash", str(other / name), "word"], capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0 and done.stdout.endswith("['word']\n"), done.stderr
    assert (other / ".venv" / "lib").is_dir() and (project / ".venv" / "installed.lock").is_file()


def test_an_environment_that_run_sh_did_not_make_is_refused_and_kept(project):
    (project / ".venv").mkdir()
    (project / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    done = call(project)
    assert done.returncode == 2 and "was not made by run.sh: move or delete it" in done.stderr
    assert (project / ".venv" / "pyvenv.cfg").read_text() == "home = /usr/bin\n"
    (project / ".venv" / "pyvenv.cfg").unlink()
    assert call(project).returncode == 0, "an empty folder is nobody's"


def test_no_module_of_the_current_folder_is_run(project, tmp_path):
    assert call(project).returncode == 0
    for name in ("json", "numpy", "runpy", "os", "sitecustomize", "estimator_mnist"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the current folder was run')\n")
    done = call(project, "word", PYTHONPATH=str(tmp_path), PYTHONINSPECT="1")
    assert done.returncode == 0 and done.stdout == "['word']\n", done.stderr


def test_two_calls_at_once_do_not_break_each_other(project):
    calls = [start(project, str(number)) for number in range(3)]
    for number, process in enumerate(calls):
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        assert f"['{number}']" in out
    assert call(project).stderr == ""


def test_cuda_s_packages_are_installed_where_nvidia_smi_answers(project, tmp_path):
    smi = tmp_path / "tools" / "nvidia-smi"
    smi.parent.mkdir()
    (project / "requirements-gpu.lock").write_text("# CUDA\n")
    for code, lock in ((9, "requirements.lock"), (0, "requirements-gpu.lock")):
        smi.write_text(f"#!/bin/sh\nexit {code}\n")
        smi.chmod(0o755)
        done = call(project, PATH=f"{smi.parent}:{os.environ['PATH']}")
        assert done.returncode == 0 and f"from {lock} " in done.stderr
        assert (project / ".venv" / "installed.lock").read_text() == (project / lock).read_text()
    assert call(project).stderr == "", "with CUDA's packages installed, nobody asks again"


def test_no_python_is_one_clear_line(project, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "dirname", "cmp", "basename", "rm"):
        (tools / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    done = call(project, PATH=str(tools))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "found no Python 3.9, 3.10 or 3.11" in done.stderr and "install python3.11" in done.stderr


def test_a_python_that_is_too_new_is_one_clear_line(project, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "dirname", "cmp", "basename", "rm"):
        (tools / tool).symlink_to(shutil.which(tool) or f"/bin/{tool}")
    for name in ("python3", "python3.12"):  # run.sh asks a Python for its version by the exit code
        (tools / name).write_text("#!/bin/sh\nexit 1\n")
        (tools / name).chmod(0o755)
    done = call(project, PATH=str(tools))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "found no Python 3.9, 3.10 or 3.11" in done.stderr and "install python3.11" in done.stderr


def test_a_package_that_cannot_be_installed_is_told_and_tried_again(project):
    (project / "requirements.lock").write_text("no-such-package-of-anyone==1.0 --hash=sha256:" + "0" * 64 + "\n")
    done = call(project, PIP_NO_INDEX="1")
    assert done.returncode == 2 and "packages could not be installed" in done.stderr
    (project / "requirements.lock").write_text("# nothing\n")
    assert call(project).returncode == 0
