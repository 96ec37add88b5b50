"""results.json: what came out of a run."""

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.system.paths import replace_file

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
    best = best_step(evaluations)
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
        "images_per_second": measured.images_per_second,
        "seconds": measured.seconds._asdict(),
    }


def best_step(evaluations: Mapping[int, Mapping[str, float]]) -> int:
    """Returns the step of the best evaluation; of equals the earliest one."""
    return max(sorted(evaluations), key=lambda step: rank(evaluations[step]))


def rank(evaluation: Mapping[str, float]) -> Tuple[float, float]:
    """Returns what makes an evaluation better, the larger the better: accuracy, then a lower loss."""
    return float(evaluation["accuracy"]), -float(evaluation["loss"])


def _test_figures(evaluation: Dict[str, float]) -> Dict[str, float]:
    return {"test_loss": evaluation["loss"], "test_accuracy": evaluation["accuracy"]}


def epoch_means(experiment: Experiment, epoch_loss: List[float]) -> List[float]:
    """Returns the mean training loss of each epoch from the sums over its examples."""
    return [loss / examples for loss, examples in zip(epoch_loss, _epoch_examples(experiment))]


def _epoch_examples(experiment: Experiment) -> List[int]:
    """Returns how many examples each epoch of the run trained on; the last epoch may have been cut short."""
    full, steps = divmod(experiment.total_steps, experiment.steps_per_epoch)
    rest = [min(steps * experiment.batch_size, experiment.train_examples)] if steps else []
    return [experiment.train_examples] * full + rest


def write(results: Dict[str, Any], model_dir: Path) -> None:
    """Writes model_dir/results.json, whole or not at all."""
    replace_file(model_dir / FILE_NAME, json.dumps(results, indent=1) + "\n")


def read(model_dir: Path) -> Optional[Dict[str, Any]]:
    """Returns the content of model_dir/results.json; None if there is none, or it is damaged: it can be made again."""
    try:
        results = json.loads((model_dir / FILE_NAME).read_text())
        return results if isinstance(results, dict) and "final" in results else None
    except (OSError, ValueError):
        return None
