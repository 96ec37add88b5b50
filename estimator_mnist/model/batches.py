"""The examples of a session call as batches of one static shape."""

from typing import Dict, NamedTuple, Optional

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies

Features = Dict[str, tf.Tensor]


class Block(NamedTuple):
    """What a session call trains on: successive batches or, among replicas, this replica's part of each."""

    images: tf.Tensor  # uint8 of 0 to 255, or float32 of 0 to 1: [n, height, width, channels]
    labels: tf.Tensor  # int32 [n]
    examples: tf.Tensor  # int32 scalar, of all replicas' parts together
    first_step: tf.Tensor  # int64 scalar, steps of the run before the block
    # int64 [steps], steps of the run before each batch, where other processes train the steps between; None where the
    # batches follow each other.
    step_numbers: Optional[tf.Tensor]
    curvature_images: Optional[tf.Tensor]  # training images that step sizes are estimated on


def block_of(features: Features, labels: tf.Tensor, global_step: tf.Tensor) -> Block:
    """Returns the block of an element of `input_fns.train_input_fn`.

    Args:
        features: "image" and, where processes share the training or step sizes are estimated, "examples", "step" and
            "first_image"; see `train_input_fn`.
        labels: int32 [n].
        global_step: int64 scalar, steps of the run so far.
    """
    step_numbers = features.get("step")
    return Block(
        images=features["image"],
        labels=labels,
        examples=features.get("examples", tf.shape(labels)[0]),
        first_step=global_step if step_numbers is None else step_numbers[0],
        step_numbers=step_numbers,
        curvature_images=features.get("first_image"),
    )


class Batches(NamedTuple):
    """A block, batch by batch. Rows that only fill up the last batch weigh nothing."""

    images: tf.Tensor  # [steps, size, height, width, channels]
    labels: tf.Tensor  # int32 [steps, size]
    weights: tf.Tensor  # float32 [steps, size, 1], of each row in the mean (or sum) of its batch

    def batch(self, number: tf.Tensor) -> "Batches":
        """Returns one batch, without the axis of the steps."""
        return Batches(*(tf.gather(values, number) for values in self))


def steps_in(experiment: Experiment, block: Block) -> tf.Tensor:
    """Returns the number of batches in a block, int32 scalar."""
    return (block.examples + experiment.batch_size - 1) // experiment.batch_size


def split_into_batches(experiment: Experiment, block: Block, repeat_rows: bool) -> Batches:
    """Returns a block by its batches, the last one filled up, so that all have one static shape.

    Args:
        experiment: Says the size of a batch.
        block: The examples.
        repeat_rows: Whether to fill it up with its own rows again, for networks that normalise by the statistics of a
            batch. Otherwise with zeros.
    """
    batch_size, count = experiment.batch_size, tf.shape(block.labels)[0]
    size, steps = strategies.replica().size(batch_size), steps_in(experiment, block)
    missing = steps * size - count

    def fill_up(values: tf.Tensor) -> tf.Tensor:
        if not repeat_rows:
            return tf.pad(values, [[0, missing]] + [[0, 0]] * (values.shape.rank - 1))
        start = count // size * size  # of the last, smaller batch
        return tf.concat([values, tf.gather(values, start + tf.range(missing) % (count - start))], axis=0)

    def by_batch(values: tf.Tensor) -> tf.Tensor:
        # Filling up copies the block, so only where something is missing.
        filled = tf.cond(missing > 0, lambda: fill_up(values), lambda: values)
        return tf.reshape(filled, [steps, size, *values.shape[1:]])

    weights = tf.reshape(_weights(experiment, block, steps * size), [steps, size, 1])
    return Batches(by_batch(block.images), by_batch(block.labels), weights)


def _weights(experiment: Experiment, block: Block, rows: tf.Tensor) -> tf.Tensor:
    """Returns the weight of each of so many rows in the gradient of its batch, float32 [rows]."""
    positions, batch_size = tf.range(rows), experiment.batch_size
    in_full_batch = positions < block.examples // batch_size * strategies.replica().size(batch_size)
    # Step sizes of single examples go with the sum over the batch, all other optimizers with its mean.
    divisor = 1 if experiment.optimizer == "lecun" else tf.where(in_full_batch, batch_size, block.examples % batch_size)
    real = positions < tf.shape(block.labels)[0]
    return tf.where(real, 1.0 / tf.cast(divisor, tf.float32), tf.zeros([]))
