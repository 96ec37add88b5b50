"""What tests and their children see of the user's environment; `test_environment` runs this in a hostile one."""

import json
import os
import signal
import subprocess
import sys
from typing import Dict

from conftest import KEPT, KEPT_PREFIXES, SET

CHILD = "import json, os, signal; print(json.dumps([dict(os.environ), signal.getsignal(signal.SIGINT).__name__]))"


def unexpected(environment: Dict[str, str]) -> Dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.upper() not in KEPT and not name.startswith(KEPT_PREFIXES) and SET.get(name) != value
    }


def test_children_see_what_is_listed_and_obey_sigint():
    assert not unexpected(dict(os.environ))
    words = [sys.executable, "-c", CHILD]
    environment, handler = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    assert not unexpected(environment) and set(SET) <= set(environment)
    assert handler == signal.default_int_handler.__name__


def test_the_command_line_prints_what_it_always_prints(cli):
    done = cli("--source", "sample", "--model", "dense", "--train_steps", "2", "--model_dir", "run")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert "test split, trained" in done.stdout and "\x1b" not in done.stdout
