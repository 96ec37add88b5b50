"""Training batches that several processes or replicas share, each a pure function of (seed, step) as with one.

Together they train on the very batches that a single process would train on.
"""

from typing import List, NamedTuple, Optional

import numpy as np
import tensorflow as tf

from input_fns.augmentation import warp as distortions
from input_fns.augmentation.warp import Augment
from input_fns.batching import indexed
from input_fns.batching.schedule import Blocks
from input_fns.batching.share import Share
from input_fns.sources.find import Split


class Span(NamedTuple):
    """A block, and the part of it that one element holds."""

    epoch: int
    first: int  # row, which is a position in the shuffled epoch
    last: int  # the row after it
    part: int


def train_batches(split: Split, blocks: Blocks, seed: int, augment: Optional[Augment], share: Share) -> tf.data.Dataset:
    """Returns the parts of a run's blocks; see `train_input_fn`."""
    spans = np.array(_spans(blocks, share), np.int32).reshape(-1, len(Span._fields))
    size, steps_per_epoch = blocks.batch_size, blocks.steps_per_epoch

    def part_of(images: tf.Tensor, labels: tf.Tensor, span: tf.Tensor):
        epoch, first, last, part = tf.unstack(span)
        rows = tf.range(first, last)
        step_of_row = epoch * steps_per_epoch + rows // size
        of_part = tf.equal((step_of_row if share.whole_batches else rows % size) % share.of, part)
        rows = tf.boolean_mask(rows, of_part)
        chosen = indexed.chosen(split, seed, epoch, rows)
        image, label = tf.gather(images, chosen), tf.cast(tf.gather(labels, chosen), tf.int32)
        if augment:
            image = distortions.distorted(image, tf.cast(chosen, tf.int64), tf.cast(epoch, tf.int64), augment)
        if share.whole_batches:
            steps = tf.unique(epoch * steps_per_epoch + rows // size)[0]
            return {"image": image, "step": tf.cast(steps, tf.int64)}, label
        return {"image": image, "examples": last - first}, label

    as_written = indexed.as_written
    parts = indexed.whole(split).flat_map(
        as_written(
            lambda images, labels: tf.data.Dataset.from_tensor_slices(spans).map(
                as_written(lambda span: part_of(images, labels, span)),
                num_parallel_calls=2 if augment else 1,
                deterministic=True,
            )
        )
    )
    return indexed.as_is(parts.prefetch(2 * share.parts))


def _spans(blocks: Blocks, share: Share) -> List[Span]:
    parts = range(share.first, share.first + share.parts)
    spans = [Span(*rows, part) for rows in blocks.rows() for part in parts]
    if not share.whole_batches:
        return spans  # of some, in the end of an epoch, nothing is left; but each goes along in every step
    return [span for span in spans if span.part in {step % share.of for step in _steps(blocks, span)}]


def _steps(blocks: Blocks, span: Span) -> range:
    first, last = span.first // blocks.batch_size, -(-span.last // blocks.batch_size)
    return range(span.epoch * blocks.steps_per_epoch + first, span.epoch * blocks.steps_per_epoch + last)
