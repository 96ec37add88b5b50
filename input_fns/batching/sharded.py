"""Training batches that several processes or replicas share, each a pure function of (seed, step).

Together they train on exactly the batches that a single process would train on.
"""

from typing import List, NamedTuple

import numpy as np
import tensorflow as tf

from input_fns.augmentation import augment_images
from input_fns.batching.indexed import as_single_element, shuffled_examples, take, without_autograph, without_autotuning
from input_fns.batching.schedule import Blocks, Rows, Share, TrainingBatches


class PartOfBlock(NamedTuple):
    """A block, and the part of it that one element holds."""

    epoch: int
    first: int  # row, which is a position in the shuffled epoch
    end: int  # row, exclusive
    part: int


def train_batches(batches: TrainingBatches) -> tf.data.Dataset:
    """Returns the parts of a run's blocks; see `train_input_fn`."""
    parts = np.array(_parts(batches.blocks, batches.share), np.int32).reshape(-1, len(PartOfBlock._fields))

    @without_autograph
    def gather_all(images: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensor_slices(parts).map(
            without_autograph(lambda part: _gather(batches, images, labels, part)),
            num_parallel_calls=2 if batches.augmentation else 1,
            deterministic=True,
        )

    dataset = as_single_element(batches.split).flat_map(gather_all)
    return without_autotuning(dataset.prefetch(2 * batches.share.parts))


def _gather(batches: TrainingBatches, all_images: tf.Tensor, all_labels: tf.Tensor, part_of_block: tf.Tensor):
    """Returns the features and labels of a part of a block, int32 [4] in the order of `PartOfBlock`."""
    blocks, share, augmentation = batches.blocks, batches.share, batches.augmentation
    epoch, first, end, part = tf.unstack(part_of_block)
    rows = tf.range(first, end)
    step_of_row = epoch * blocks.steps_per_epoch + rows // blocks.batch_size
    position = step_of_row if share.whole_batches else rows % blocks.batch_size
    rows = tf.boolean_mask(rows, tf.equal(position % share.of, part))
    examples = shuffled_examples(batches.split, batches.seed, epoch, rows)
    images, labels = (take(array, batches.split, examples) for array in (all_images, all_labels))
    if augmentation:
        images = augment_images.augmented(images, tf.cast(examples, tf.int64), tf.cast(epoch, tf.int64), augmentation)
    if share.whole_batches:
        steps = tf.unique(epoch * blocks.steps_per_epoch + rows // blocks.batch_size)[0]
        return {"image": images, "step": tf.cast(steps, tf.int64)}, labels
    return {"image": images, "examples": end - first}, labels


def _parts(blocks: Blocks, share: Share) -> List[PartOfBlock]:
    numbers = range(share.first, share.first + share.parts)
    if share.whole_batches:
        return [
            PartOfBlock(*rows, number)
            for rows in blocks.rows()
            for number in numbers
            if number in {step % share.of for step in _steps(blocks, rows)}
        ]
    # At the end of an epoch some parts are empty. They are elements all the same: every process takes every step.
    return [PartOfBlock(*rows, number) for rows in blocks.rows() for number in numbers]


def _steps(blocks: Blocks, rows: Rows) -> range:
    first, end = rows.first // blocks.batch_size, -(-rows.end // blocks.batch_size)
    return range(rows.epoch * blocks.steps_per_epoch + first, rows.epoch * blocks.steps_per_epoch + end)
