"""How the user calls the command line: through run.sh in a checkout, or by the name that pip installs."""

import os
from typing import List

from estimator_mnist.system.interpreter import is_checkout

INSTALLED = "estimator-mnist"
VARIABLE = "ESTIMATOR_MNIST_COMMAND"  # set by the installed command for the processes that it starts


def words() -> List[str]:
    """Returns the words that a command line of this project begins with."""
    if os.environ.get(VARIABLE) == INSTALLED or not is_checkout():
        return [INSTALLED]
    return ["bash", "run.sh"]


def text() -> str:
    """Returns those words as messages show them."""
    return " ".join(words())
