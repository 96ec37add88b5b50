"""Batch number s as a pure function of (seed, s): no shuffle buffer, no state, a full permutation every epoch.

The split is read from its file when training begins, once and into its place, so that the graph holds no data and
memory one copy of it. Each batch is gathered from it.
"""

from typing import List, Optional, Tuple

import numpy as np
import tensorflow as tf

from input_fns.augmentation import warp as distortions
from input_fns.augmentation.warp import Augment
from input_fns.batching.schedule import Blocks
from input_fns.sources import idx
from input_fns.sources.find import Split

# The functions of the pipelines are plain TensorFlow. Without AutoGraph's reading of their source, a quarter of a
# second, the first batch comes the sooner.
as_written = tf.autograph.experimental.do_not_convert


def train_batches(split: Split, blocks: Blocks, seed: int, augment: Optional[Augment] = None) -> tf.data.Dataset:
    """Returns the blocks of a run; see `train_input_fn`."""
    pieces = blocks.pieces(distortions.PIECE) if augment else blocks.rows()

    def gather(images: tf.Tensor, labels: tf.Tensor, span: tf.Tensor):
        epoch, first, last = tf.unstack(span)
        examples = chosen(split, seed, epoch, tf.range(first, last))
        gathered = _features(tf.gather(images, examples), tf.gather(labels, examples))
        return (*gathered, tf.cast(examples, tf.int64), tf.cast(epoch, tf.int64)) if augment else gathered

    spans = tf.data.Dataset.from_tensor_slices(np.array(pieces, np.int32).reshape(-1, 3))

    @as_written
    def blocks_of(images: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        return spans.map(as_written(lambda span: gather(images, labels, span)), num_parallel_calls=1)

    # flat_map captures the two arrays once; as arguments of each element they would be handed on with every batch.
    batches = whole(split).flat_map(blocks_of)
    return as_is((distortions.distort_pieces(batches, blocks.sizes, augment) if augment else batches).prefetch(2))


def chosen(split: Split, seed: int, epoch: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns which examples stand at some rows, int32 [n], of the shuffled epoch, int32 scalar.

    Row r of epoch e is example RandomIndexShuffle(r, (seed, e)): a pseudorandom permutation, evaluated at one point
    (a Simon cipher with cycle-walking; tensorflow/core/kernels/random_index_shuffle.h).
    """
    low, high = seed & 0x7FFFFFFF, seed >> 31
    # The raw op, for the public wrapper takes seeds of two numbers only.
    return tf.raw_ops.RandomIndexShuffle(
        index=rows, seed=tf.stack([low, high, epoch]), max_index=split.examples - 1, rounds=4
    )


def eval_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """Returns the split once, in its order; see `eval_input_fn`."""
    starts = tf.data.Dataset.range(0, split.examples, batch_size)

    @as_written
    def batches_of(images: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        def batch(first: tf.Tensor):
            return _features(images[first : first + batch_size], labels[first : first + batch_size])

        return starts.map(as_written(batch))

    # Cached, so that a caller who repeats it reads the file once.
    batches = whole(split).cache().flat_map(batches_of).prefetch(2)
    return as_is(batches.apply(tf.data.experimental.assert_cardinality(-(-split.examples // batch_size))))


def as_is(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset without tf.data's tuning: there is nothing to tune, and its thread takes up to half a second
    to end when an iterator begins anew."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)


def whole(split: Split) -> tf.data.Dataset:
    """Returns a dataset of one element, the whole split: images uint8 [n, *image_shape] and labels uint8 [n]."""
    assert split.images and split.labels, "a split that is only streamed has no arrays"
    paths = tf.data.Dataset.from_tensors((str(split.images), str(split.labels)))

    @as_written
    def read(images: tf.Tensor, labels: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        shape = [split.examples, *split.image_shape]
        return _array(images, "images", shape, split.first), _array(labels, "labels", [split.examples], split.first)

    return paths.map(read)


def _array(path: tf.Tensor, kind: str, shape: List[int], first: int) -> tf.Tensor:
    # TensorFlow's own ops need two or three times the memory: the file as a string, without its header, and decoded.
    # TensorFlow takes over the array that Python fills, as it is.
    size, skipped = (int(np.prod([count, *shape[1:]], dtype=np.int64)) for count in (shape[0], first))
    data = tf.numpy_function(
        lambda path: idx.read(path.decode(), kind, size, skipped), [path], tf.uint8, stateful=False
    )
    return tf.reshape(data, shape)


def _features(images: tf.Tensor, labels: tf.Tensor):
    return {"image": images}, tf.cast(labels, tf.int32)
