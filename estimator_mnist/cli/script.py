"""The command `estimator-mnist` that pip installs."""

import os
import sys

from estimator_mnist.system import command_name, supported
from estimator_mnist.system.interpreter import module_command


def main() -> None:
    """Replaces this process by the command line in an isolated interpreter, as run.sh starts it."""
    supported.exit_unless_possible()
    os.environ[command_name.VARIABLE] = command_name.INSTALLED
    command = module_command("estimator_mnist", *sys.argv[1:])
    os.execv(command[0], command)
