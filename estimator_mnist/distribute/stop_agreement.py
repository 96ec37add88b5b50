"""How processes that train in step agree on when to stop: each says whether it was asked to, and all hear the sum."""

from typing import Sequence

import tensorflow as tf

from estimator_mnist.distribute import strategies

# Tensors that hooks feed or read, by name: whether this process is asked to stop, which it feeds; how many processes
# are; whether all of them are at the same step.
STOP_REQUESTED, STOPS_REQUESTED = "train/stop_requested:0", "train/stops_requested:0"
SAME_STEP = "train/same_step:0"


def build(first_step: tf.Tensor, after: Sequence[tf.Tensor]) -> None:
    """Adds the agreement to the graph of a training call, where there are replicas.

    Args:
        first_step: int64 scalar, of the session call.
        after: Computed before: sums over replicas must come in the same order everywhere.
    """
    replicas = strategies.replica().replicas
    if replicas == 1:
        return
    requested = tf.compat.v1.placeholder_with_default(0.0, [], name=STOP_REQUESTED[:-2])
    step = tf.cast(first_step % 4096, tf.float32)  # so small that the sums are exact
    with tf.control_dependencies(after):
        requests, steps = strategies.summed([tf.identity(requested), tf.identity(step)])
    tf.identity(requests, name=STOPS_REQUESTED[:-2])
    tf.equal(steps, step * replicas, name=SAME_STEP[:-2])
