"""What ends a command: one line on standard error, and the exit code of its kind."""

import subprocess
import sys
from pathlib import Path

import pytest
from support import ROOT

# Runs the command line with the command `report` replaced by one that ends in its own way.
REPLACED = """
import sys
sys.path.insert(0, {root!r})
from estimator_mnist import __main__
from estimator_mnist.cli import commands
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.remote_path import RemoteError
from input_fns import InputError

def report(started):
    {body}

commands.COMMANDS["report"] = report
sys.exit(__main__.main(["estimator_mnist", "report", *sys.argv[1:]]))
"""


def ended_by(body: str, tmp: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    script = REPLACED.format(root=str(ROOT), body=body)
    command = [sys.executable, "-I", "-c", script, *words]
    return subprocess.run(command, env={"TMPDIR": str(tmp), "PATH": "/usr/bin:/bin"}, capture_output=True, text=True)


@pytest.mark.parametrize(
    "body, code, line",
    [
        ("raise InputError('--seed: wrong')", 2, "error: --seed: wrong"),
        ("raise RunError('the loss is not finite')", 1, "error: the loss is not finite"),
        ("raise RunError('two\\nlines \\x1b[2J')", 1, "error: two\\nlines \\x1b[2J"),
        (
            "raise RemoteError(5, 'does not answer', 'gs://a\\x1b[2J/b')",
            1,
            "error: gs://a\\x1b[2J/b: does not answer; the folder must answer and be writable",
        ),
    ],
)
def test_an_expected_error_is_one_line(tmp_path, body, code, line):
    done = ended_by(body, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", line + "\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "body, text",
    [
        ("return {}['missing']", "KeyError: 'missing'"),
        ("return 1 / 0", "ZeroDivisionError: division by zero"),
        ("raise ValueError('first\\n\\nsecond \\x1b[2J')", "ValueError: first second \\x1b[2J"),
        ("return report(started)", "RecursionError: maximum recursion depth exceeded"),
        ("raise MemoryError", "MemoryError:"),
    ],
)
def test_an_unexpected_error_is_one_line_that_names_the_file_with_its_traceback(tmp_path, body, text):
    done = ended_by(body, tmp_path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: unexpected {text}") and done.stderr.count("\n") == 1
    (log,) = tmp_path.glob("estimator-mnist-*.log")
    assert f"which is in {log}\n" in done.stderr
    assert log.read_text().startswith("Traceback (most recent call last)") and "in report" in log.read_text()


def test_verbosity_shows_the_traceback_of_an_unexpected_error(tmp_path):
    done = ended_by("return 1 / 0", tmp_path, "--verbosity", "0")
    assert done.returncode == 1 and not list(tmp_path.iterdir())
    assert done.stderr.startswith("Traceback") and done.stderr.endswith("ZeroDivisionError: division by zero\n")


def test_an_unexpected_error_is_reported_where_no_traceback_can_be_written(tmp_path):
    body = "import os, tempfile; tempfile.tempdir = os.path.join(tempfile.gettempdir(), 'none'); return 1 / 0"
    done = ended_by(body, tmp_path)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: unexpected ZeroDivisionError: division by zero (no traceback could be")


def test_ctrl_c_ends_without_a_word(tmp_path):
    done = ended_by("raise KeyboardInterrupt", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
