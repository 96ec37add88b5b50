"""What a command works on: the run and the data that the flags name."""

import sys
from pathlib import Path
from typing import Tuple

import input_fns
from estimator_mnist.config import flags, run_data
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import tf_config
from estimator_mnist.model_dir import prepare
from estimator_mnist.system import terminal
from estimator_mnist.system.tensorflow_setup import quiet_tensorflow


def trained_run() -> Tuple[Path, Experiment]:
    """Returns the model_dir that the flags name, and its experiment with the flags that may change, for one process.

    Raises:
        InputError: It holds no experiment, or a flag contradicts it.
    """
    quiet_tensorflow(flags.verbose())  # a remote model_dir imports TensorFlow
    model_dir = flags.model_dir()
    tf_config.leave()
    return model_dir, flags.override(prepare.stored_experiment(model_dir)).in_one_process()


def data_of(experiment: Experiment, model_dir: Path) -> input_fns.Data:
    """Returns the data that the run of a model_dir was trained on.

    Raises:
        InputError: There is no such data, or it has changed since.
    """
    quiet_tensorflow(flags.verbose())
    return run_data.find(experiment, model_dir, _say_to_stderr)


def _say_to_stderr(line: str) -> None:
    """Prints a remark where it cannot mix with a command's output, which may be JSON."""
    print(terminal.printable(line), file=sys.stderr)


def named_data() -> input_fns.Data:
    """Returns the data that the flags name.

    Raises:
        InputError: It is not there.
    """
    return input_fns.find(flags.request(), terminal.say)
