"""A checkpoint on a split: what `Run.evaluate` returns, and the data that it takes."""

from dataclasses import dataclass
from typing import Any, Dict

import numpy as np

from estimator_mnist.api import datasets
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.system import terminal
from input_fns import Data, InputError


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A checkpoint on a split, in the order of the split."""

    # As `evaluate --json` prints them: "loss", "accuracy", "global_step", "accuracy_interval", ...
    figures: Dict[str, Any]
    logits: np.ndarray  # float32 [n, classes]
    labels: np.ndarray  # int32 [n]
    confusion: np.ndarray  # int64 [classes, classes]: examples by label (row) and predicted class (column)

    def __repr__(self) -> str:
        figures = self.figures
        return (
            f"Evaluation(step {figures['global_step']:,.0f}, {len(self.labels):,} examples: "
            f"loss {figures['loss']:.4f}, accuracy {terminal.percent(figures['accuracy'])})"
        )


def data_for(experiment: Experiment, source: datasets.Source) -> Data:
    """Returns data whose test split the network of an experiment can classify.

    Args:
        experiment: The network's.
        source: As `estimator_mnist.data` returns or takes it. All of arrays (x, y) become the test split.

    Raises:
        InputError: The images have another shape than the network's, or the classes are others.
    """
    if isinstance(source, Data):
        data = source
    elif isinstance(source, (tuple, list)):
        data = datasets.data(source, test=source, class_names=experiment.class_names, verbose=False)
    else:
        data = datasets.data(source, verbose=False)
    if data.image_shape != experiment.image_shape:
        shapes = [" x ".join(map(str, shape)) for shape in (data.image_shape, experiment.image_shape)]
        raise InputError(f"data: its images are {shapes[0]}, the run's {shapes[1]}; give images of that shape")
    unnamed = tuple(map(str, range(experiment.classes)))
    if data.class_names not in (experiment.class_names, unnamed):
        names = [", ".join(names) for names in (data.class_names, experiment.class_names)]
        raise InputError(f"data: its classes are {names[0]}; the run's are {names[1]}, in this order")
    return data
