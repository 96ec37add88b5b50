"""Images to batches. Knows nothing of networks and nothing of Estimator's modes.

The three functions here are all that the rest calls; each returns the `tf.data.Dataset` that an Estimator's input_fn
returns, with elements ({"image": uint8 [n, 28, 28, 1]}, label int32 [n]).
"""

import dataclasses
from typing import TYPE_CHECKING, Sequence

from input_fns.augmentation.displacement_fields import AUGMENTS
from input_fns.batching.share import ALL, Share
from input_fns.errors import InputError
from input_fns.sources.find import SOURCES, Data, Split, find

if TYPE_CHECKING:
    import tensorflow as tf

# Imported where they are used, for TensorFlow takes two seconds and finding the data does not need it.
__all__ = [
    "AUGMENTS",
    "INPUTS",
    "PREPROCESSES",
    "SOURCES",
    "Data",
    "InputError",
    "Share",
    "Split",
    "eval_input_fn",
    "find",
    "predict_input_fn",
    "train_input_fn",
]

INPUTS = ("indexed", "stream", "numpy")
PREPROCESSES = ("auto", "mnist", "fit", "none")  # how a picture of the user's own is prepared; see pictures.py


def train_input_fn(
    split: Split,
    batch_size: int,
    seed: int = 0,
    stops: Sequence[int] = (),
    start: int = 0,
    steps_per_block: int = 1,
    input: str = "indexed",
    augment: str = "none",
    augment_strength: float = 1.0,
    first_examples: int = 0,
    share: Share = ALL,
) -> "tf.data.Dataset":
    """Returns shuffled training batches, each example once an epoch, the last batch of an epoch smaller if need be.

    Args:
        split: The split to train on.
        batch_size: Examples in a batch.
        seed: Two calls with the same arguments return the same batches in the same order.
        stops: Increasing steps at which the caller wants to stop, for a checkpoint say; the last one ends the data.
        start: Global step of the first batch.
        steps_per_block: Up to so many successive batches come as one element, a block, for a caller that cuts it up
            itself. A block never reaches past an epoch or a stop.
        input: One of INPUTS.
        augment: How the images are distorted, one of AUGMENTS; with "stream" only "none".
        augment_strength: How much, as a share of what AUGMENTS says.
        first_examples: With each element come the images of so many first examples of the split, or of all that there
            are, as its feature "first_image": uint8 [n, 28, 28, 1], the same every time.
        share: With other than all of the examples, by "indexed" only, an element is a part of a block. Its features
            have, beside "image", "examples", int32 scalar, those in all parts of the block; or, with whole batches,
            "step", int64 [n], the global step before each of its batches.
    """
    from input_fns.augmentation.warp import Augment
    from input_fns.batching import indexed, numpy_generator, sharded, streamed
    from input_fns.batching.schedule import Blocks

    together = share.of if share.whole_batches else 1  # batches that the processes make at a time
    blocks = Blocks(split.examples, batch_size, steps_per_block * together, tuple(stops), start)
    distortion = None if augment == "none" else Augment(seed, augment, augment_strength)
    if share != ALL:
        assert input == "indexed", input
        made = sharded.train_batches(split, blocks, seed, distortion, share)
    elif input == "stream":
        made = streamed.train_batches(split, blocks, seed)
    else:
        made = (numpy_generator if input == "numpy" else indexed).train_batches(split, blocks, seed, distortion)
    return _with_first_images(made, split, first_examples) if first_examples else made


def eval_input_fn(split: Split, batch_size: int) -> "tf.data.Dataset":
    """Returns every example of the split once, in its order; the last batch is smaller if need be."""
    from input_fns.batching import indexed, streamed

    return (streamed if split.images is None else indexed).eval_batches(split, batch_size)


def predict_input_fn(split: Split, batch_size: int, examples: int) -> "tf.data.Dataset":
    """Returns the first `examples` examples of the split in batches, in its order. Reads little more than them."""
    from input_fns.batching import streamed

    files_only = split if split.images is None else dataclasses.replace(split, tfds_name=None)
    first = streamed.eval_batches(files_only, min(batch_size, examples)).take(-(-examples // min(batch_size, examples)))
    return first if examples <= batch_size else first.unbatch().take(examples).batch(batch_size)


def _with_first_images(batches: "tf.data.Dataset", split: Split, examples: int) -> "tf.data.Dataset":
    import tensorflow as tf

    # Read once, and handed on with each element as it is.
    first = predict_input_fn(split, examples, examples).cache().repeat()
    merged = tf.data.Dataset.zip((batches, first))
    return merged.map(lambda batch, first: ({**batch[0], "first_image": first[0]["image"]}, batch[1]))
