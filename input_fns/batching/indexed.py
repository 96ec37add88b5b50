"""Batch s as a pure function of (seed, s): no shuffle buffer, no state, a full permutation every epoch.

The split is read from its file once, when training begins, straight into its final place. So the graph holds no data,
and memory holds one copy of it. Each batch is gathered from that copy.
"""

from typing import List, Tuple

import numpy as np
import tensorflow as tf

from input_fns.augmentation import apply
from input_fns.batching.schedule import TrainingBatches
from input_fns.sources import idx
from input_fns.sources.find import Split

# The functions of these pipelines are plain TensorFlow. AutoGraph would read their source for a quarter of a second,
# and delay the first batch by as much.
without_autograph = tf.autograph.experimental.do_not_convert


def train_batches(batches: TrainingBatches) -> tf.data.Dataset:
    """Returns the blocks of a run; see `train_input_fn`."""
    split, blocks, augmentation = batches.split, batches.blocks, batches.augmentation
    pieces = blocks.pieces(apply.PIECE) if augmentation else blocks.rows()

    def gather(all_images: tf.Tensor, all_labels: tf.Tensor, rows: tf.Tensor):
        epoch, first, end = tf.unstack(rows)
        examples = shuffled_examples(split, batches.seed, epoch, tf.range(first, end))
        features, labels = _features(tf.gather(all_images, examples), tf.gather(all_labels, examples))
        if augmentation:
            return features, labels, tf.cast(examples, tf.int64), tf.cast(epoch, tf.int64)
        return features, labels

    rows_of_pieces = tf.data.Dataset.from_tensor_slices(np.array(pieces, np.int32).reshape(-1, 3))

    @without_autograph
    def gather_all(images: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        return rows_of_pieces.map(without_autograph(lambda rows: gather(images, labels, rows)), num_parallel_calls=1)

    # flat_map captures the two arrays once. As arguments of each element they would travel with every batch.
    dataset = as_single_element(split).flat_map(gather_all)
    if augmentation:
        dataset = apply.augment_pieces(dataset, blocks.sizes, augmentation)
    return without_autotuning(dataset.prefetch(2))


def shuffled_examples(split: Split, seed: int, epoch: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Returns the examples at some rows of a shuffled epoch, int32 [n].

    Row r of epoch e is example RandomIndexShuffle(r, (seed, e)): a pseudorandom permutation, evaluated at one point
    (a Simon cipher with cycle-walking; tensorflow/core/kernels/random_index_shuffle.h).

    Args:
        split: The split that is shuffled.
        seed: Of the run.
        epoch: int32 scalar.
        rows: int32 [n].
    """
    low, high = seed & 0x7FFFFFFF, seed >> 31
    # The raw op: the public wrapper accepts only seeds of two numbers.
    return tf.raw_ops.RandomIndexShuffle(
        index=rows, seed=tf.stack([low, high, epoch]), max_index=split.examples - 1, rounds=4
    )


def eval_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """Returns the split once, in its order; see `eval_input_fn`."""
    starts = tf.data.Dataset.range(0, split.examples, batch_size)

    @without_autograph
    def slice_all(images: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        def batch(first: tf.Tensor):
            return _features(images[first : first + batch_size], labels[first : first + batch_size])

        return starts.map(without_autograph(batch))

    # Cached, so that a caller who repeats it reads the file once.
    dataset = as_single_element(split).cache().flat_map(slice_all).prefetch(2)
    return without_autotuning(dataset.apply(tf.data.experimental.assert_cardinality(-(-split.examples // batch_size))))


def without_autotuning(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset without tf.data's autotuning.

    There is nothing to tune, and the tuning thread takes up to half a second to end when an iterator restarts.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return dataset.with_options(options)


def as_single_element(split: Split) -> tf.data.Dataset:
    """Returns a dataset of one element, the split: images uint8 [n, height, width, channels], labels uint8 [n]."""
    assert split.images and split.labels, "a split that is only streamed has no arrays"
    paths = tf.data.Dataset.from_tensors((str(split.images), str(split.labels)))

    @without_autograph
    def read(images: tf.Tensor, labels: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        shape = [split.examples, *split.image_shape]
        return _array(images, "images", shape, split.first), _array(labels, "labels", [split.examples], split.first)

    return paths.map(read)


def _array(path: tf.Tensor, kind: str, shape: List[int], first: int) -> tf.Tensor:
    # TensorFlow's own ops need two or three times the memory: the file as a string, without its header, and decoded.
    # The array that Python fills is handed over without a copy.
    size, skipped = (int(np.prod([count, *shape[1:]], dtype=np.int64)) for count in (shape[0], first))
    data = tf.numpy_function(
        lambda path: idx.read(path.decode(), kind, size, skipped), [path], tf.uint8, stateful=False
    )
    return tf.reshape(data, shape)


def _features(images: tf.Tensor, labels: tf.Tensor):
    return {"image": images}, tf.cast(labels, tf.int32)
