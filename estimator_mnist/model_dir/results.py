"""results.json: the figures of a finished run."""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from estimator_mnist import user_code
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model_dir import ranking
from estimator_mnist.system import json_records
from estimator_mnist.system.paths import replace_file
from input_fns import InputError

FILE_NAME = "results.json"


class Seconds(NamedTuple):
    """How long the parts of a run took the process that finished it."""

    to_first_step: float  # from the start of the process
    training: float
    evaluation: float
    export: float
    total: float


class Measured(NamedTuple):
    """What a finished run has measured."""

    parameters: int  # trainable, of its network
    train_loss: List[float]  # mean over the examples of each epoch
    evaluations: Dict[int, Dict[str, float]]  # {step: {"loss", "accuracy"}}, the steps 0 and `total_steps` among them
    images_per_second: float  # in training
    seconds: Seconds
    tensorflow: str  # its version


def collect(experiment: Experiment, measured: Measured) -> Dict[str, Any]:
    """Returns the content of results.json.

    Its keys that begin with "test" are figures of "evaluated_split", which is "test" or "validation".
    """
    evaluations = measured.evaluations
    best = ranking.of_experiment(experiment).best_step(evaluations)
    return {
        "model": experiment.model,
        "dataset": experiment.dataset,
        "source": experiment.source,
        "train_examples": experiment.train_examples,
        "test_examples": experiment.test_examples,
        "evaluated_split": experiment.evaluated_split,
        "parameters": measured.parameters,
        "batch_size": experiment.batch_size,
        "epochs": experiment.epochs,
        "seed": experiment.seed,
        "global_step": experiment.total_steps,
        "tensorflow": measured.tensorflow,
        "untrained": _test_figures(evaluations[0]),
        "train_loss": measured.train_loss,
        "final": _test_figures(evaluations[experiment.total_steps]),
        "best": {"test_accuracy": evaluations[best]["accuracy"], "global_step": best},
        "best_metric": experiment.best_metric,
        "metrics": _metrics(experiment, evaluations, best),
        "images_per_second": measured.images_per_second,
        "seconds": measured.seconds._asdict(),
    }


def _metrics(
    experiment: Experiment, evaluations: Mapping[int, Mapping[str, float]], best: int
) -> Dict[str, Dict[str, Optional[float]]]:
    """Returns the values of --metric by its name, if there is one: untrained, of the last and the best evaluation.

    A value that is not finite becomes None: JSON has no such numbers.
    """
    if not experiment.metric:
        return {}
    name = user_code.parse(experiment.metric).function
    steps = {"untrained": 0, "final": experiment.total_steps, "best": best}
    values = {when: float(evaluations[step][name]) for when, step in steps.items()}
    return {name: {when: value if math.isfinite(value) else None for when, value in values.items()}}


def _test_figures(evaluation: Dict[str, float]) -> Dict[str, float]:
    return {"test_loss": evaluation["loss"], "test_accuracy": evaluation["accuracy"]}


def epoch_means(experiment: Experiment, epoch_loss: List[float]) -> List[float]:
    """Returns the mean training loss of each epoch from the sums over its examples."""
    return [loss / examples for loss, examples in zip(epoch_loss, _epoch_examples(experiment))]


def _epoch_examples(experiment: Experiment) -> List[int]:
    """Returns the number of examples that each epoch of the run trained on. The last epoch may be incomplete."""
    full, steps = divmod(experiment.total_steps, experiment.steps_per_epoch)
    rest = [min(steps * experiment.batch_size, experiment.train_examples)] if steps else []
    return [experiment.train_examples] * full + rest


def final_figures(results: Mapping[str, Any]) -> Dict[str, float]:
    """Returns "loss", "accuracy" and the metrics of the last evaluation, NaN for one that was not finite.

    Args:
        results: The content of results.json.
    """
    metrics = {name: values["final"] for name, values in results["metrics"].items()}
    figures = {"loss": results["final"]["test_loss"], "accuracy": results["final"]["test_accuracy"], **metrics}
    return {name: math.nan if value is None else value for name, value in figures.items()}


def write(results: Dict[str, Any], model_dir: Path) -> None:
    """Writes model_dir/results.json atomically."""
    replace_file(model_dir / FILE_NAME, json.dumps(results, indent=1) + "\n")


def read(model_dir: Path) -> Optional[Dict[str, Any]]:
    """Returns the content of model_dir/results.json, with all types checked against `Results`.

    Returns:
        None if there is no such file or it is damaged: the run can write it again.
    """
    try:
        return dataclasses.asdict(json_records.read(model_dir / FILE_NAME, Results))
    except (OSError, ValueError, InputError):
        return None


@dataclass(frozen=True)
class Figures:
    """An evaluation on the evaluated split."""

    test_loss: float
    test_accuracy: float

    def __post_init__(self) -> None:
        _check("test_accuracy", 0 <= self.test_accuracy <= 1, "from 0 to 1")


@dataclass(frozen=True)
class BestFigures:
    """The best evaluation of the run."""

    test_accuracy: float
    global_step: int

    def __post_init__(self) -> None:
        _check("test_accuracy", 0 <= self.test_accuracy <= 1, "from 0 to 1")


@dataclass(frozen=True)
class Results:
    """What results.json holds, key by key; see `collect`."""

    model: str
    dataset: str
    source: str
    train_examples: int
    test_examples: int
    parameters: int
    batch_size: int
    epochs: int
    seed: int
    global_step: int
    tensorflow: str
    untrained: Figures
    train_loss: List[float]  # mean of each epoch
    final: Figures
    best: BestFigures
    images_per_second: float
    seconds: Dict[str, float]  # the fields of `Seconds`
    evaluated_split: str = dataclasses.field(default="test", metadata={json_records.LATER: True})
    best_metric: str = dataclasses.field(default="accuracy", metadata={json_records.LATER: True})
    metrics: Dict[str, Dict[str, Optional[float]]] = dataclasses.field(  # by metric: "untrained", "final", "best"
        default_factory=dict, metadata={json_records.LATER: True}
    )

    def __post_init__(self) -> None:
        _check("train_loss", bool(self.train_loss), "a list of at least one number")
        for name, values in self.metrics.items():
            _check(f"metrics.{name}", set(values) == {"untrained", "final", "best"}, "untrained, final and best")
        missing = [name for name in Seconds._fields if name not in self.seconds]
        _check("seconds", not missing, f"an object with {', '.join(Seconds._fields)}")
        _check("evaluated_split", self.evaluated_split in ("test", "validation"), "test or validation")


def _check(key: str, possible: bool, wanted: str) -> None:
    if not possible:
        raise json_records.RecordError(f"{key} must be {wanted}")
