"""Experiments with tf.estimator on small images, from settings to results. `import estimator_mnist as em`.

The names below are imported when they are first used: the import of this package takes no time and imports neither
TensorFlow nor NumPy.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any, List

from estimator_mnist.system import supported as _supported

if TYPE_CHECKING:
    from estimator_mnist.api.datasets import data
    from estimator_mnist.api.evaluation import Evaluation
    from estimator_mnist.api.run import Run
    from estimator_mnist.api.run import open_run as open
    from estimator_mnist.api.train import train
    from estimator_mnist.config.experiment import Experiment
    from estimator_mnist.model.model_fn import model_fn
    from estimator_mnist.predict.in_memory import Predictions
    from estimator_mnist.system.errors import RunError
    from input_fns import Data, InputError, eval_input_fn, train_input_fn

_problem = _supported.wrong_python()
if _problem and sys.argv[:1] in (["-m"], ["estimator_mnist"]):  # a program, by python -m or by run_module.py
    _supported.exit_unless_possible()
if _problem:
    raise ImportError(_problem)

_PLACES = {  # name -> the module that has it, and its name there
    "Data": ("input_fns", "Data"),
    "Evaluation": ("estimator_mnist.api.evaluation", "Evaluation"),
    "Experiment": ("estimator_mnist.config.experiment", "Experiment"),
    "InputError": ("input_fns", "InputError"),
    "Predictions": ("estimator_mnist.predict.in_memory", "Predictions"),
    "Run": ("estimator_mnist.api.run", "Run"),
    "RunError": ("estimator_mnist.system.errors", "RunError"),
    "data": ("estimator_mnist.api.datasets", "data"),
    "eval_input_fn": ("input_fns", "eval_input_fn"),
    "model_fn": ("estimator_mnist.model.model_fn", "model_fn"),
    "open": ("estimator_mnist.api.run", "open_run"),
    "train": ("estimator_mnist.api.train", "train"),
    "train_input_fn": ("input_fns", "train_input_fn"),
}

__all__ = [
    "Data",
    "Evaluation",
    "Experiment",
    "InputError",
    "Predictions",
    "Run",
    "RunError",
    "data",
    "eval_input_fn",
    "model_fn",
    "open",
    "train",
    "train_input_fn",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _problem = _supported.wrong_system()
    if _problem:
        raise ImportError(_problem)
    module, attribute = _PLACES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value  # later uses skip this function
    return value


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
