"""How the work of a network is spread over the cores of a CPU.

TensorFlow offers two ways: several threads in each op, and several ops at a time. For networks as small as these the
first costs more than it gives, for the threads meet at the end of every op. So each op gets one thread, and a training
step is divided into chains of ops that run side by side and meet where they must. The divisions are a property of the
model and not of the machine, so that the same seed gives the same sums everywhere.
"""

import contextlib
import dataclasses
import os
from typing import List

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment

PARTS = {"dense": 2}  # of the hidden layer
SHARDS = {"conv": 4, "conv_plain": 4, "lenet5": 2}  # of a batch
SMALLEST_SHARD = 8  # images


def parts(experiment: Experiment) -> int:
    """Returns into how many parts the hidden layer is divided in training. Strategies have no divided variables."""
    return PARTS.get(experiment.model, 1) if experiment.strategy == "none" else 1


def shard_sizes(experiment: Experiment, size: int) -> List[int]:
    """Returns how many examples of a batch, or a replica's part of it, each shard holds; their sum is the size."""
    shards = max(1, min(SHARDS.get(experiment.model, 1), size // SMALLEST_SHARD))
    return [size * (shard + 1) // shards - size * shard // shards for shard in range(shards)]


def of_shards(experiment: Experiment, images: tf.Tensor) -> List[tf.Tensor]:
    """Returns a batch of any size, cut into as many shards as there are chains in training."""
    shards = max(PARTS.get(experiment.model, 1), SHARDS.get(experiment.model, 1))
    size = tf.shape(images)[0]
    return [images[size * shard // shards : size * (shard + 1) // shards] for shard in range(shards)]


def within_ops(experiment: Experiment) -> Experiment:
    """Returns the experiment for work that is one chain of ops, such as a served model's: the cores share each op."""
    return dataclasses.replace(experiment, intra_op_threads=experiment.intra_op_threads or os.cpu_count() or 1)


def intra_op_threads(experiment: Experiment) -> int:
    """Returns the threads within an op: what the user says, else what the chains of ops leave over."""
    if experiment.intra_op_threads or tf.config.list_physical_devices("GPU"):
        return experiment.intra_op_threads
    return max(1, (os.cpu_count() or 1) // SHARDS.get(experiment.model, os.cpu_count() or 1))


def limit_threads(experiment: Experiment) -> None:
    """Sets the threads of this process, to be called before TensorFlow builds anything.

    The session's own setting comes too late: the functions of a tf.data pipeline make the pool that all sessions share.
    """
    with contextlib.suppress(RuntimeError):  # made by now: it stays as it is
        tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads(experiment))
        tf.config.threading.set_inter_op_parallelism_threads(experiment.inter_op_threads)
