"""How long training waits for a checkpoint to be written, by the saver of the main job.

    python -I estimator_mnist/system/run_module.py benchmarks.peers.checkpoints MODEL DATA_DIR CHECKPOINTS

Prints one line of JSON: {"seconds": [a value for each checkpoint]}.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, List

import tensorflow as tf

from benchmarks.peers.task import SIZES
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.training import estimator as estimators
from estimator_mnist.training import hooks
from input_fns import Split, train_input_fn

name, folder, checkpoints = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.FATAL)
experiment = Experiment(model=name, batch_size=SIZES[name][0], train_steps=10 * checkpoints, evals=checkpoints)
split = Split("train", 60_000, (28, 28, 1), folder / "train-images.npy", folder / "train-labels.npy")
seconds: List[float] = []


class TimedSaver(hooks.EvaluationSaver):
    def _save(self, session: Any, step: int) -> Any:
        began = time.perf_counter()
        stop = super()._save(session, step)
        if step:
            seconds.append(time.perf_counter() - began)
        return stop


with tempfile.TemporaryDirectory() as scratch:
    estimator = estimators.create(experiment, Path(scratch))
    saver = TimedSaver(Path(scratch), experiment.evaluation_steps, 0, lambda: False)
    estimator.train(
        lambda: train_input_fn(split, experiment.batch_size, stops=experiment.evaluation_steps),
        hooks=[saver],
    )
print(json.dumps({"seconds": seconds[:checkpoints]}), flush=True)  # Estimator saves one more at the end
