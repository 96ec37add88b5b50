"""The evaluations of a run as arrays, from its event files, results.json and checkpoints."""

from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model.training_progress import EPOCH_LOSS
from estimator_mnist.model_dir import checkpoints, event_files, results
from input_fns import InputError

NAMES = {"loss": "test_loss", "accuracy": "test_accuracy"}  # of figures that every evaluation has


def read(model_dir: Path, experiment: Experiment) -> Dict[str, np.ndarray]:
    """Returns what `Run.history` says."""
    evaluations = event_files.evaluations(model_dir)
    steps = sorted(evaluations)
    means, per_epoch = _epoch_means(model_dir, experiment), experiment.steps_per_epoch
    epochs = [-(-step // per_epoch) for step in steps]  # of each step, counted from 1; 0 for the step 0
    history = {
        "step": np.array(steps, np.int64),
        "epoch": np.array(steps, np.float64) / per_epoch,
        "train_loss": np.array([means[epoch - 1] if 0 < epoch <= len(means) else np.nan for epoch in epochs]),
    }
    for tag in _figures_of_all(evaluations):
        name = NAMES.get(tag, f"test_{tag}")
        history[name] = np.array([evaluations[step].get(tag, np.nan) for step in steps], np.float64)
    return history


def untrained(model_dir: Path) -> Dict[str, Any]:
    """Returns what `Run.untrained` says."""
    outcome = results.read(model_dir)
    if outcome:
        return outcome["untrained"]
    figures = event_files.evaluations(model_dir).get(0)
    if figures is None:
        raise InputError(f"model_dir {model_dir}: its initial weights were not evaluated yet; train it first")
    return {name: figures[tag] for tag, name in NAMES.items()}


def _figures_of_all(evaluations: Dict[int, Dict[str, float]]) -> List[str]:
    """Returns the names of the figures but those of single classes, loss and accuracy first."""
    tags = dict.fromkeys([*NAMES, *(tag for figures in evaluations.values() for tag in figures)])
    return [tag for tag in tags if "/" not in tag and tag != "global_step"]


def _epoch_means(model_dir: Path, experiment: Experiment) -> List[float]:
    """Returns the mean training loss of each epoch that is over."""
    outcome = results.read(model_dir)
    if outcome:
        return outcome["train_loss"]
    step, _ = checkpoints.newest_intact(model_dir)
    if not step:
        return []
    reader = tf.compat.v1.train.NewCheckpointReader(checkpoints.prefix(model_dir, step))
    means = results.epoch_means(experiment, reader.get_tensor(EPOCH_LOSS).tolist())
    return means[: step // experiment.steps_per_epoch]
