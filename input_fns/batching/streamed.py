"""A stream of examples through a shuffle buffer, for data larger than memory: constant memory, files read in parallel.

The order depends on the seed and on the step that the process started from. A resumed run sees the epoch that it was
in from the beginning, in a new order.
"""

from typing import Dict, Optional, Tuple

import numpy as np
import tensorflow as tf

from input_fns.batching.schedule import TrainingBatches
from input_fns.sources import array_cache, tfds_records, tfds_source
from input_fns.sources.find import Split

SHUFFLE_BUFFER = 1024  # examples


def train_batches(batches: TrainingBatches) -> tf.data.Dataset:
    """Returns the blocks of a run; see `train_input_fn`."""
    blocks = batches.blocks
    # Mixed with the start, so that a resumed run does not repeat the first epoch's order.
    shuffle_seed = int(np.random.default_rng((batches.seed, blocks.start)).integers(2**31))
    dataset = (
        _examples(batches.split, shuffle_seed)
        .shuffle(SHUFFLE_BUFFER, seed=shuffle_seed, reshuffle_each_iteration=True)
        .batch(blocks.batch_size)
        .map(_features, num_parallel_calls=tf.data.AUTOTUNE)
        .repeat()
    )
    # Rebatched: the stream begins with a whole epoch, and a resumed run may begin in the middle of one.
    return dataset.rebatch(blocks.sizes).take(len(blocks.boundaries()) - 1).prefetch(tf.data.AUTOTUNE)


def eval_batches(split: Split, batch_size: int) -> tf.data.Dataset:
    """Returns the split once, in its order; see `eval_input_fn`."""
    batches = _examples(split).batch(batch_size).map(_features, num_parallel_calls=tf.data.AUTOTUNE)
    cardinality = tf.data.experimental.assert_cardinality(-(-split.examples // batch_size))
    return batches.prefetch(tf.data.AUTOTUNE).apply(cardinality)


def _examples(split: Split, shuffle_seed: Optional[int] = None) -> tf.data.Dataset:
    """Returns (image uint8 [height, width, channels], label) one by one.

    With a seed, the files come in another order each epoch.
    """
    if split.tfds_name:
        return _records_of_tfds(split, shuffle_seed)
    assert split.images and split.labels, "a split comes from TFDS or from arrays"
    images, labels = (
        tf.data.FixedLengthRecordDataset(
            str(path), size, header_bytes=array_cache.offset(path) + split.first * size
        ).take(split.examples)
        for path, size in ((split.images, int(np.prod(split.image_shape))), (split.labels, 4))
    )

    @tf.autograph.experimental.do_not_convert  # plain TensorFlow, as in indexed.py
    def decode(image: tf.Tensor, label: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor]:
        pixels = tf.reshape(tf.io.decode_raw(image, tf.uint8), split.image_shape)
        return pixels, tf.reshape(tf.io.decode_raw(label, tf.int32), [])

    return tf.data.Dataset.zip((images, labels)).map(decode, num_parallel_calls=tf.data.AUTOTUNE)


def _records_of_tfds(split: Split, shuffle_seed: Optional[int]) -> tf.data.Dataset:
    import tensorflow_datasets as tfds

    builder = tfds.builder(split.tfds_name, data_dir=str(split.data_dir))
    image_key, label_key = tfds_source.keys(builder.info)
    dataset = builder.as_dataset(
        split=f"{split.name}[{split.first}:{split.first + split.examples}]",
        decoders=tfds_records.decoders(builder.info, [image_key, label_key]),
        shuffle_files=shuffle_seed is not None,
        read_config=tfds.ReadConfig(shuffle_seed=shuffle_seed),
    )

    @tf.autograph.experimental.do_not_convert  # plain TensorFlow, as in indexed.py
    def chosen(features: Dict[str, tf.Tensor]) -> Tuple[tf.Tensor, tf.Tensor]:
        return features[image_key], features[label_key]

    return dataset.map(chosen)


@tf.autograph.experimental.do_not_convert  # plain TensorFlow, as in indexed.py
def _features(images: tf.Tensor, labels: tf.Tensor):
    return {"image": images}, tf.cast(labels, tf.int32)
