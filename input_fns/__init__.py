"""Images to batches. Knows nothing of networks and nothing of Estimator's modes.

`find` returns the data. `train_input_fn`, `eval_input_fn` and `predict_input_fn` make batches of it: each returns the
`tf.data.Dataset` that an Estimator's input_fn returns, with elements ({"image": uint8 [n, height, width, channels]},
label int32 [n]).

Importing this package does not import TensorFlow, which takes two seconds: finding the data does not need it.
"""

from typing import TYPE_CHECKING, Callable, Sequence, Union

from input_fns.augmentation.displacement_fields import AUGMENTS, Augmentation
from input_fns.batching.schedule import ALL, Blocks, Share, TrainingBatches
from input_fns.errors import InputError
from input_fns.sources.find import Data, Split, find
from input_fns.sources.request import SOURCES, Request

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = [
    "AUGMENTS",
    "INPUTS",
    "PREPROCESSES",
    "SOURCES",
    "Data",
    "InputError",
    "Request",
    "Share",
    "Split",
    "eval_input_fn",
    "find",
    "predict_input_fn",
    "train_input_fn",
]

INPUTS = ("indexed", "stream", "numpy")
PREPROCESSES = ("auto", "mnist", "fit", "resize", "none")  # how `predict` prepares a user's picture


def train_input_fn(
    split: Split,
    batch_size: int,
    seed: int = 0,
    stops: Sequence[int] = (),
    start: int = 0,
    steps_per_block: int = 1,
    input: str = "indexed",
    augment: Union[str, Callable] = "none",
    augment_strength: float = 1.0,
    first_examples: int = 0,
    share: Share = ALL,
) -> "tf.data.Dataset":
    """Returns shuffled training batches: each example once an epoch, the last batch of an epoch smaller if need be.

    Args:
        split: The split to train on.
        batch_size: Examples in a batch.
        seed: Two calls with the same arguments return the same batches in the same order.
        stops: Increasing steps at which the caller wants to stop, for instance for a checkpoint. The last one ends the
            data.
        start: Global step of the first batch.
        steps_per_block: Up to this many successive batches come as one element, a block, for a caller that cuts it up
            itself. A block never reaches past an epoch or a stop.
        input: One of INPUTS.
        augment: How to augment the images, one of AUGMENTS, or a function of an image, uint8 [height, width, channels],
            and a seed, int32 [2], that returns an image of the same dtype and shape. The seed is a function of `seed`,
            the example and the epoch, for TensorFlow's stateless generators. "stream" supports only "none".
        augment_strength: Multiplies the limits of AUGMENTS.
        first_examples: If positive, each element also carries the images of this many first examples of the split, or
            of all if it holds fewer, as its feature "first_image": uint8 [n, height, width, channels]. They are the
            same every time.
        share: The part of the examples that this process takes. If it is not all of them, `input` must be "indexed",
            and an element is a part of a block. Beside "image" its features then hold "examples", int32 scalar, the
            examples in all parts of the block; or, with whole batches, "step", int64 [n], the global step before each
            of its batches.

    Raises:
        InputError: A number is impossible, the stops do not increase, or "numpy" is to use a split only streamed.
    """
    from input_fns.batching import indexed, numpy_generator, sharded, streamed

    _check_sizes(batch_size=batch_size, steps_per_block=steps_per_block)
    if not stops or any(stop < before for before, stop in zip([0, *stops], stops)):
        raise InputError(f"stops: {list(stops)} is not possible; it must be increasing steps, the last one the end")
    batches_at_a_time = share.of if share.whole_batches else 1  # by all processes together
    batches = TrainingBatches(
        split,
        Blocks(split.examples, batch_size, steps_per_block * batches_at_a_time, tuple(stops), start),
        seed,
        None if augment == "none" else Augmentation(seed, augment, augment_strength),
        share,
    )
    if share != ALL:
        assert input == "indexed", input
        dataset = sharded.train_batches(batches)
    else:
        modules = {"indexed": indexed, "stream": streamed, "numpy": numpy_generator}
        dataset = modules[input].train_batches(batches)
    return _with_first_images(dataset, split, first_examples) if first_examples else dataset


def eval_input_fn(split: Split, batch_size: int) -> "tf.data.Dataset":
    """Returns every example of the split once, in its order; the last batch is smaller if need be.

    Raises:
        InputError: The batch size is below 1.
    """
    _check_sizes(batch_size=batch_size)
    from input_fns.batching import indexed, streamed

    return (streamed if split.images is None else indexed).eval_batches(split, batch_size)


def predict_input_fn(split: Split, batch_size: int, examples: int) -> "tf.data.Dataset":
    """Returns the first `examples` examples of the split in batches, in its order. Reads little more than those."""
    from input_fns.batching import streamed

    size = min(batch_size, examples)
    first_batches = streamed.eval_batches(split, size).take(-(-examples // size))
    return first_batches if examples <= batch_size else first_batches.unbatch().take(examples).batch(batch_size)


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name}: {size} is not possible; it must be a whole number from 1 on")


def _with_first_images(batches: "tf.data.Dataset", split: Split, examples: int) -> "tf.data.Dataset":
    import tensorflow as tf

    # Read once; every element then carries the same tensor.
    first = predict_input_fn(split, examples, examples).cache().repeat()
    both = tf.data.Dataset.zip((batches, first))
    return both.map(lambda batch, first: ({**batch[0], "first_image": first[0]["image"]}, batch[1]))
