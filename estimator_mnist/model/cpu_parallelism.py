"""How the work of a network is spread over the cores of a CPU.

TensorFlow offers two ways: several threads in each op, and several ops at a time. For networks as small as these the
first costs more than it gives, because the threads meet at the end of every op. So each op gets one thread, and a
training step is divided into chains of ops that run side by side and meet only where they must. The division belongs
to the model and not to the machine, so that the same seed gives the same sums everywhere.
"""

import contextlib
import dataclasses
import os
from typing import List, Optional

import tensorflow as tf

from estimator_mnist.architectures import shards
from estimator_mnist.config.experiment import Experiment

SMALLEST_MICRO_BATCH = 8  # images


def partitions(experiment: Experiment) -> int:
    """Returns how many partitions a dense layer is split into in training. Strategies know no partitioned variables."""
    return experiment.architecture.partitions if experiment.strategy == "none" else 1


def micro_batch_sizes(experiment: Experiment, size: int) -> List[int]:
    """Returns how many examples of a batch, or of a replica's part of it, each micro-batch holds."""
    count = max(1, min(shards(experiment), size // SMALLEST_MICRO_BATCH))
    return [size * (number + 1) // count - size * number // count for number in range(count)]


def split_for_inference(experiment: Experiment, images: tf.Tensor) -> List[tf.Tensor]:
    """Returns a batch of any size, cut into as many parts as training has chains of ops."""
    count = max(experiment.architecture.partitions, shards(experiment))
    size = tf.shape(images)[0]
    return [images[size * number // count : size * (number + 1) // count] for number in range(count)]


def threads_within_ops(experiment: Experiment) -> Experiment:
    """Returns the experiment for work that is one chain of ops, such as a served model's: the cores share each op."""
    return dataclasses.replace(experiment, intra_op_threads=experiment.intra_op_threads or os.cpu_count() or 1)


def intra_op_threads(experiment: Experiment) -> int:
    """Returns the threads within an op: what the user says, else what the chains of ops leave over."""
    if experiment.intra_op_threads or tf.config.list_physical_devices("GPU"):
        return experiment.intra_op_threads
    cores, chains = os.cpu_count() or 1, shards(experiment)
    return max(1, cores // chains) if chains > 1 else 1


def limit_threads(experiment: Experiment) -> None:
    """Sets the threads of this process, to be called before TensorFlow builds anything.

    The session's own setting is too late: the functions of a tf.data pipeline make the pool that all sessions share.
    """
    with contextlib.suppress(RuntimeError):  # the pool exists already, and keeps its threads
        tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads(experiment))
        tf.config.threading.set_inter_op_parallelism_threads(experiment.inter_op_threads)


def difference_in_threads(experiment: Experiment) -> Optional[str]:
    """Returns how this process's threads differ from those of a process that only runs the experiment, None if not.

    To be called after `limit_threads`. Sums that are cut into other parts may differ in their last bit.
    """
    threading, cores = tf.config.threading, os.cpu_count() or 1
    actual = (
        threading.get_intra_op_parallelism_threads() or cores,
        threading.get_inter_op_parallelism_threads() or cores,
    )
    wanted = intra_op_threads(experiment) or cores, experiment.inter_op_threads or cores
    if actual == wanted:
        return None
    return (
        f"TensorFlow runs with {actual[0]} threads within an op and {actual[1]} ops at a time, which an earlier use in "
        f"this process decided, not with {wanted[0]} and {wanted[1]}: results may differ in the last bit"
    )
