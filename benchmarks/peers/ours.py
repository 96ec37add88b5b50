"""This project: its model_fn, input pipeline and hooks by `Estimator.train`, as the main job runs them."""

import tempfile
import time
from pathlib import Path
from typing import Dict, List, Tuple

import tensorflow as tf

from benchmarks.peers.task import DROPOUT, LEARNING_RATE, from_command_line, report
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.training import estimator as estimators
from estimator_mnist.training import hooks
from input_fns import Split, train_input_fn

task = from_command_line()
tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.FATAL)
experiment = Experiment(
    model=task.model,
    batch_size=task.batch_size,
    learning_rate=LEARNING_RATE,
    dropout_rate=DROPOUT,
    train_steps=task.warm_up + task.steps,
    evals=1,
)
folder = Path(task.data_dir)
split = Split("train", 60_000, (28, 28, 1), folder / "train-images.npy", folder / "train-labels.npy")
times: List[Tuple[int, float]] = []


def note(step: int, scalars: Dict[str, float]) -> None:
    times.append((step, time.perf_counter()))


with tempfile.TemporaryDirectory() as scratch:
    estimator = estimators.create(experiment, Path(scratch))
    stops = [task.warm_up, experiment.total_steps]
    estimator.train(
        lambda: train_input_fn(
            split, task.batch_size, stops=stops, steps_per_block=experiment.steps_per_loop, input="indexed"
        ),
        hooks=[
            hooks.TrainingLog(Path(scratch), experiment.steps_per_epoch, note),
            hooks.EvaluationSaver(Path(scratch), [experiment.total_steps], 0, lambda: False),
        ],
    )
began = next(at for step, at in times if step >= task.warm_up)
# An epoch's last batch is smaller, so images are counted, not steps.
full, rest = divmod(task.steps, experiment.steps_per_epoch)
report((full * 60_000 + rest * task.batch_size) / (times[-1][1] - began))
