"""The data of a run: the fields of its Experiment that describe it, and finding it again."""

from pathlib import Path
from typing import Any, Callable, Dict

import input_fns
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import FIELDS
from input_fns import Data, InputError, Request


def fields_of(data: Data) -> Dict[str, Any]:
    """Returns the fields of Experiment that describe the data found, and change where the data does."""
    return {
        "data_digest": data.digest,
        "train_examples": data.train.examples,
        "test_examples": data.test.examples,
        "class_names": data.class_names,
        "image_shape": data.image_shape,
        "preparation": data.preparation,
    }


def find(experiment: Experiment, model_dir: Path, say: Callable[[str], None]) -> Data:
    """Returns the data that the run of a model_dir was trained on.

    Args:
        experiment: The experiment of the model_dir.
        model_dir: Its folder, for messages.
        say: Called with one line where the user should know what was chosen.

    Raises:
        InputError: There is no such data, or it has changed since.
    """
    data = input_fns.find(_request(experiment), say)
    fields = fields_of(data)
    if not experiment.preparation:  # an older experiment.json lacks it
        del fields["preparation"]
    changed = [name for name, value in fields.items() if value != getattr(experiment, name)]
    if changed:
        raise InputError(
            f"--model_dir {model_dir}: was trained on other data than {data.description} (its {changed[0]} differs); "
            "put that data back, or train anew"
        )
    return data


def _request(experiment: Experiment) -> Request:
    shared = {name: getattr(experiment, name) for name in Request.__dataclass_fields__ if name in FIELDS}
    class_names = experiment.class_names if experiment.source in ("arrays", "idx") else None
    return Request(**{**shared, "class_names": class_names, "stream": experiment.input == "stream"})
