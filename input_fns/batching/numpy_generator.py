"""NumPy minibatches: indices shuffled every epoch, each batch cut from the array only when it is needed."""

from typing import Any, Iterator

import numpy as np
import tensorflow as tf

from input_fns.augmentation import augment_images
from input_fns.batching.schedule import TrainingBatches
from input_fns.errors import InputError


def train_batches(batches: TrainingBatches) -> tf.data.Dataset:
    """Returns the blocks of a run; see `train_input_fn`. The order of an epoch is a pure function of (seed, epoch).

    Raises:
        InputError: The split is only streamed.
    """
    split, blocks, augmentation = batches.split, batches.blocks, batches.augmentation
    if split.images is None:
        raise InputError("--input numpy: needs a split in arrays; choose --input stream for one that is streamed")
    images, labels = split.arrays()

    pieces = blocks.pieces(augment_images.PIECE) if augmentation else blocks.rows()

    def extract() -> Iterator:
        shuffled_epoch = None
        for epoch, first, end in pieces:
            if epoch != shuffled_epoch:
                order, shuffled_epoch = np.random.default_rng((batches.seed, epoch)).permutation(split.examples), epoch
            examples = order[first:end]
            minibatch = {"image": images[examples]}, labels[examples]
            yield (*minibatch, examples, epoch) if augmentation else minibatch

    image_spec = tf.TensorSpec([None, *split.image_shape], tf.uint8)
    signature: Any = ({"image": image_spec}, tf.TensorSpec([None], tf.int32))
    if augmentation:
        signature = (*signature, tf.TensorSpec([None], tf.int64), tf.TensorSpec([], tf.int64))
    dataset = tf.data.Dataset.from_generator(extract, output_signature=signature)
    if augmentation:
        dataset = augment_images.augment_pieces(dataset, blocks.sizes, augmentation)
    return dataset.prefetch(2)
