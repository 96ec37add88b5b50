"""The evaluation of one checkpoint, apart from training."""

import tempfile
from pathlib import Path
from typing import Dict, Optional

import input_fns
from estimator_mnist import checkpoints, terminal
from estimator_mnist import estimator as estimators
from estimator_mnist.experiment import Experiment


def evaluate(
    experiment: Experiment, data: input_fns.Data, model_dir: Path, checkpoint: Optional[str] = None
) -> Dict[str, float]:
    """Returns "loss", "accuracy", "global_step" and "accuracy_of_class/<name>" on all that the run is evaluated on.

    Args:
        experiment: The experiment of the model_dir.
        data: Its data.
        model_dir: Where the checkpoints are; nothing is written to it.
        checkpoint: Path prefix of a checkpoint; None takes the newest.

    Raises:
        InputError: There is no checkpoint, or the one named is damaged or another network's.
    """
    checkpoint = checkpoints.checked(experiment, model_dir, checkpoint)
    # Estimator writes each evaluation as an event beside the model: here beside a folder that is thrown away.
    with tempfile.TemporaryDirectory() as scratch:
        estimator = estimators.create(experiment, Path(scratch))
        result = estimator.evaluate(
            lambda: input_fns.eval_input_fn(data.test, experiment.eval_batch_size), checkpoint_path=checkpoint
        )
    return {name: value.item() for name, value in result.items()}


def show(result: Dict[str, float], experiment: Experiment) -> None:
    """Prints an evaluation as a table."""
    rows = [["loss", f"{result['loss']:.4f}"], ["accuracy", terminal.percent(result["accuracy"])]]
    rows += [[f"accuracy of {name}", terminal.percent(_of_class(result, name))] for name in experiment.class_names]
    terminal.say(terminal.table(rows, [f"step {result['global_step']:,.0f}", f"{experiment.evaluated_split} split"]))


def _of_class(result: Dict[str, float], name: str) -> float:
    return result[f"accuracy_of_class/{name}"]
