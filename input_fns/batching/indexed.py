"""Batch s as a pure function of (seed, s): no shuffle buffer, no state, a full permutation every epoch.

TensorFlow takes the mapped file of the split as one tensor, without a copy. So the graph holds no data, and memory no
more of it than the pages of the file that are in use. Each batch is gathered from there.
"""

from pathlib import Path
from typing import List, Optional, Tuple

import numpy as np
import tensorflow as tf

from input_fns.augmentation import augment_images
from input_fns.batching.schedule import TrainingBatches
from input_fns.sources import array_cache
from input_fns.sources.find import Split

# The functions of these pipelines are plain TensorFlow. AutoGraph would read their source for a quarter of a second,
# and delay the first batch by as much.
without_autograph = tf.autograph.experimental.do_not_convert


def train_batches(batches: TrainingBatches) -> tf.data.Dataset:
    """Returns the blocks of a run; see `train_input_fn`."""
    split, blocks, augmentation = batches.split, batches.blocks, batches.augmentation
    pieces = blocks.pieces(augment_images.PIECE) if augmentation else blocks.rows()

    def gather(all_images: tf.Tensor, all_labels: tf.Tensor, rows: tf.Tensor):
        epoch, first, end = tf.unstack(rows)
        examples = shuffled_examples(split, batches.seed, epoch, tf.range(first, end))
        features, labels = {"image": take(all_images, split, examples)}, take(all_labels, split, examples)
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
        dataset = augment_images.augment_pieces(dataset, blocks.sizes, augmentation)
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
    end = split.first + split.examples
    starts = tf.data.Dataset.range(split.first, end, batch_size)

    @without_autograph
    def slice_all(images: tf.Tensor, labels: tf.Tensor) -> tf.data.Dataset:
        def batch(first: tf.Tensor):
            rows = slice(first, tf.minimum(first + batch_size, end))
            return {"image": images[rows]}, labels[rows]

        return starts.map(without_autograph(batch))

    # Cached, so that a caller who repeats it maps the file once.
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
    """Returns a dataset of one element: images uint8 [n, height, width, channels] and labels int32 [n] of both files.

    They hold all examples of the original split; `take` finds those of the split.
    """
    assert split.images and split.labels, "a split that is only streamed has no arrays"
    paths = tf.data.Dataset.from_tensors((str(split.images), str(split.labels)))

    @without_autograph
    def map_files(images: tf.Tensor, labels: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        return _mapped(images, tf.uint8, [None, *split.image_shape]), _mapped(labels, tf.int32, [None])

    return paths.map(map_files)


def take(array: tf.Tensor, split: Split, examples: tf.Tensor) -> tf.Tensor:
    """Returns some examples of a split out of an array of `as_single_element`, by their positions in the split."""
    # The whole file and positions in it, not a part of the file: TensorFlow would copy an array that begins elsewhere.
    return tf.gather(array, examples + split.first if split.first else examples)


def _mapped(path: tf.Tensor, dtype: tf.DType, shape: List[Optional[int]]) -> tf.Tensor:
    # Python's array is handed over without a copy. TensorFlow's own ops would need two or three times the memory.
    array = tf.numpy_function(lambda path: array_cache.read(Path(path.decode())), [path], dtype, stateful=False)
    return tf.ensure_shape(array, shape)
