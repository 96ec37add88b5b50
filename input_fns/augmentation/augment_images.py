"""Augments training images, each as a pure function of (seed, example, epoch): resuming needs no saved state."""

import contextlib
from typing import Callable, Dict, Sequence

import tensorflow as tf

from input_fns.augmentation import random_bits, warp
from input_fns.augmentation.displacement_fields import Augmentation
from input_fns.errors import InputError

PIECE = 256  # images at a time: enough to amortise the ops' overhead, few enough to stay in a core's cache


def augment_pieces(pieces: tf.data.Dataset, block_sizes: Sequence[int], augmentation: Augmentation) -> tf.data.Dataset:
    """Returns augmented blocks, ({"image": uint8 [size, height, width, channels]}, labels).

    Args:
        pieces: Pieces of the blocks: ({"image": uint8 [n, height, width, channels]}, labels [n], example numbers
            int64 [n], epoch int64).
        block_sizes: Examples in each block.
        augmentation: How to augment them.
    """

    def augment(features: Dict[str, tf.Tensor], labels: tf.Tensor, examples: tf.Tensor, epoch: tf.Tensor):
        return {"image": augmented(features["image"], examples, epoch, augmentation)}, labels

    without_autograph = tf.autograph.experimental.do_not_convert(augment)
    return pieces.map(without_autograph, num_parallel_calls=2, deterministic=True).rebatch(list(block_sizes))


def augmented(images: tf.Tensor, examples: tf.Tensor, epoch: tf.Tensor, augmentation: Augmentation) -> tf.Tensor:
    """Returns augmented images, uint8 [n, height, width, channels].

    Args:
        images: uint8 [n, height, width, channels], of static height, width and channels.
        examples: The number of each image in its split, int64 [n], below 2**32.
        epoch: int64 scalar, below 2**24.
        augmentation: How to augment them.

    Raises:
        InputError: The images are too large for the kind, or a user's function returns something else than an image
            like the one that it was given. Whatever that function raises is passed on.
    """
    if isinstance(augmentation.kind, str):
        return warp.warped(images, examples, epoch, augmentation)
    seeds = random_bits.stateless_seeds(examples, epoch, augmentation.seed)
    return _mapped(augmentation.kind, images, seeds)


def _mapped(function: Callable, images: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """Returns what a user's function makes of each image with its seed."""
    shape = images.shape[1:]

    # AutoGraph would wrap what the function raises in a report of many lines.
    @tf.autograph.experimental.do_not_convert
    def checked(image_and_seed: Sequence[tf.Tensor]) -> tf.Tensor:
        image = returned = function(*image_and_seed)
        with contextlib.suppress(TypeError, ValueError):
            image = tf.convert_to_tensor(returned)
        if not tf.is_tensor(image):
            raise _refusal(function, type(returned).__name__, shape)
        if image.dtype != tf.uint8 or not image.shape.is_compatible_with(shape):
            raise _refusal(function, f"{image.dtype.name} {image.shape}", shape)
        # A function whose result has no static shape, as that of tf.numpy_function, is checked when it is called.
        return tf.ensure_shape(image, shape)

    # One by one: what the function makes of an image must not depend on the others of its batch.
    return tf.map_fn(checked, (images, seeds), fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def _refusal(function: Callable, returned: str, shape: tf.TensorShape) -> InputError:
    name = getattr(function, "__name__", function)
    must = "it must return the dtype and the shape that it is given"
    return InputError(f"--augment {name}: returns {returned} for an image uint8 {shape}; {must}")
