"""NumPy minibatches: indices shuffled every epoch, each batch cut from the whole array at the last moment."""

from typing import Any, Iterator, Optional

import numpy as np
import tensorflow as tf

from input_fns.augmentation import warp as distortions
from input_fns.augmentation.warp import Augment
from input_fns.batching.schedule import Blocks
from input_fns.errors import InputError
from input_fns.sources import idx
from input_fns.sources.find import Split


def train_batches(split: Split, blocks: Blocks, seed: int, augment: Optional[Augment] = None) -> tf.data.Dataset:
    """Returns the blocks of a run; see `train_input_fn`. The order of an epoch is a pure function of (seed, epoch)."""
    if split.images is None or split.labels is None:
        raise InputError("--input numpy: needs a split that lies in IDX files")
    part = slice(split.first, split.first + split.examples)
    images, labels = (array[part] for array in idx.read_split(split.images, split.labels))
    images, labels = images.reshape(-1, *split.image_shape), labels.astype(np.int32)

    pieces = blocks.pieces(distortions.PIECE) if augment else blocks.rows()

    def extract() -> Iterator:
        shuffled_epoch = None
        for epoch, first, last in pieces:
            if epoch != shuffled_epoch:
                order, shuffled_epoch = np.random.default_rng((seed, epoch)).permutation(split.examples), epoch
            chosen = order[first:last]
            gathered = {"image": images[chosen]}, labels[chosen]
            yield (*gathered, chosen, epoch) if augment else gathered

    image_spec = tf.TensorSpec([None, *split.image_shape], tf.uint8)
    signature: Any = ({"image": image_spec}, tf.TensorSpec([None], tf.int32))
    if augment:
        signature = (*signature, tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int64))
    batches = tf.data.Dataset.from_generator(extract, output_signature=signature)
    return (distortions.distort_pieces(batches, blocks.sizes, augment) if augment else batches).prefetch(2)
