"""Checks of the features and labels that an input_fn hands to `model_fn`.

What can be seen while the graph is built is refused there, in one line. What only the values show is refused by an op
in the graphs of training and evaluation and, in `Estimator.predict`, by a hook: exported graphs hold no assertions.
"""

from typing import Any, Dict, List, Optional

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies
from estimator_mnist.layers.variables import Shape
from estimator_mnist.model.batches import Block, Features
from input_fns import InputError

IMAGE = "image"
OUT_OF_RANGE = "outside the valid range"  # a run's error messages know it by these words


def experiment_of(params: Any) -> Experiment:
    """Returns the experiment of Estimator's `params`.

    Raises:
        InputError: There is none.
    """
    experiment = params.get("experiment") if isinstance(params, dict) else None
    if not isinstance(experiment, Experiment):
        raise InputError('params: must be {"experiment": Experiment(...)}')
    return experiment


def images_of(features: Any, image_shape: Shape) -> tf.Tensor:
    """Returns the images with a static shape, [n, height, width, channels].

    Args:
        features: {"image": integer or floating-point, [n, height, width, channels] or, of one channel, [n, height,
            width]}.
        image_shape: Height, width and channels of the experiment's images.

    Raises:
        InputError: The features hold no such images.
    """
    if not isinstance(features, dict) or IMAGE not in features:
        kind = sorted(features) if isinstance(features, dict) else type(features).__name__
        raise InputError(f'features: {kind} is not possible; the input_fn must return ({{"{IMAGE}": images}}, labels)')
    images = tf.convert_to_tensor(features[IMAGE])
    if not (images.dtype.is_integer or images.dtype.is_floating):
        raise InputError(
            f'features["{IMAGE}"]: {images.dtype.name} is not possible; it must be integers of 0 to 255, or floats of '
            "0 to 1"
        )
    wanted = tf.TensorShape([None, *image_shape])
    if image_shape[2] == 1 and images.shape.rank == 3 and images.shape.is_compatible_with(wanted[:3]):
        images = images[..., tf.newaxis]
    if not images.shape.is_compatible_with(wanted):
        raise InputError(
            f'features["{IMAGE}"]: shape {_text(images.shape)} is not possible; it must be {_text(wanted)}, a batch '
            "of what the experiment's image_shape says"
        )
    return images if images.shape[1:].is_fully_defined() else tf.ensure_shape(images, wanted)


def class_indices(labels: Any, classes: int) -> tf.Tensor:
    """Returns the labels as class indices, int32 [n].

    Args:
        labels: Class indices, integer [n] or [n, 1], or one-hot rows, [n, classes].
        classes: How many there are.

    Raises:
        InputError: The labels are something else.
    """
    if labels is None or isinstance(labels, (dict, list, tuple)):
        kind = "None" if labels is None else f"a {type(labels).__name__}"
        raise InputError(f'labels: {kind} is not possible; the input_fn must return ({{"{IMAGE}": images}}, labels)')
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank is None:
        labels = tf.ensure_shape(labels, [None])
    is_column = labels.shape.rank == 2 and labels.shape[1] == 1
    if labels.dtype.is_integer and (labels.shape.rank == 1 or is_column):
        return _checked_indices(labels[:, 0] if is_column else labels, classes)
    if labels.shape.rank == 2 and labels.shape[1] == classes and not is_column and labels.dtype != tf.string:
        return _indices_of_one_hot(labels, classes)
    raise InputError(
        f"labels: {labels.dtype.name} {_text(labels.shape)} is not possible; they must be class indices, integers of "
        f"shape [n] or [n, 1], or one-hot, [n, {classes}]"
    )


def _checked_indices(labels: tf.Tensor, classes: int) -> tf.Tensor:
    # Checked before the cast, in which large numbers would wrap.
    numbers = tf.cast(labels, tf.int32 if labels.dtype.size < 4 or labels.dtype == tf.int32 else tf.int64)
    is_index = tf.logical_and(numbers >= 0, numbers < classes)
    text = f"labels: {OUT_OF_RANGE} of 0 to {classes - 1}; they are class indices; found the smallest and the largest:"
    with tf.control_dependencies([_assert(tf.reduce_all(is_index), text, _extremes(numbers))]):
        return tf.cast(tf.identity(numbers), tf.int32)


def _indices_of_one_hot(labels: tf.Tensor, classes: int) -> tf.Tensor:
    rows = tf.cast(labels, tf.float32)
    indices = tf.argmax(rows, axis=1, output_type=tf.int32)
    is_one_hot = tf.reduce_all(tf.equal(rows, tf.one_hot(indices, classes)))
    text = "labels: a row is not one-hot, which is a single 1 among zeros; mixed targets are not possible; rows:"
    with tf.control_dependencies([_assert(is_one_hot, text, [rows[:3]])]):
        return tf.identity(indices)


def checked_range(images: tf.Tensor) -> tf.Tensor:
    """Returns uint8 of 0 to 255 or float32 of 0 to 1, checked when the graph runs. uint8 needs no check."""
    if images.dtype == tf.uint8:
        return images
    with tf.control_dependencies([_assert(_in_range(images), _range_text(images.dtype), _extremes(images))]):
        return tf.cast(tf.identity(images), tf.uint8 if images.dtype.is_integer else tf.float32)


class ImageRangeHook(tf.estimator.SessionRunHook):
    """Refuses images outside the valid range in `Estimator.predict`.

    Its ops are made when a session begins. An export begins none, and so its graph holds none of them.
    """

    def __init__(self, images: tf.Tensor):
        """
        Args:
            images: As `images_of` returns them.
        """
        self._images = images
        self._fetches: Dict[str, tf.Tensor] = {}

    def begin(self):
        smallest, largest = _extremes(self._images)
        self._fetches = {"is_in_range": _in_range(self._images), "smallest": smallest, "largest": largest}

    def before_run(self, run_context):
        return tf.estimator.SessionRunArgs(self._fetches)

    def after_run(self, run_context, run_values):
        values = run_values.results
        if not values["is_in_range"]:
            raise InputError(f"{_range_text(self._images.dtype)} {values['smallest']} and {values['largest']}")


def _in_range(images: tf.Tensor) -> tf.Tensor:
    # A comparison with NaN is false.
    if images.dtype.is_integer:
        numbers = tf.cast(images, tf.int64)
        return tf.reduce_all(tf.logical_and(numbers >= 0, numbers <= 255))
    return tf.reduce_all(tf.logical_and(images >= 0, images <= 1))


def _range_text(dtype: tf.DType) -> str:
    wanted = "0 to 255, as integers are" if dtype.is_integer else "0 to 1, as floats are (divide by 255, or clip)"
    return f'features["{IMAGE}"]: {dtype.name} {OUT_OF_RANGE} of {wanted}; found the smallest and the largest:'


def check_replicas(experiment: Experiment, features: Optional[Features]) -> None:
    """Refuses a strategy that would average wrongly in silence.

    Args:
        experiment: Says how the training is to be distributed.
        features: Of a training element; None in an evaluation.

    Raises:
        InputError: Estimator's RunConfig distributes what the input is not divided for.
    """
    if strategies.replica().replicas == 1:
        return
    if features is None:
        raise InputError("eval_distribute: is not possible; a single process without a strategy must evaluate")
    if experiment.strategy == "none" or "examples" not in features:
        raise InputError(
            'train_distribute: needs Experiment(strategy="mirrored") or "multi_worker", and the parts of each batch '
            "that train_input_fn(share=...) makes"
        )


def checked_block(experiment: Experiment, block: Block) -> Block:
    """Returns a block that is refused when the graph runs if it begins after the run's end, or if a session call would
    train on a part of it only."""
    if block.step_numbers is not None:  # `train_input_fn` has counted
        return block
    total, size, checks = experiment.total_steps, experiment.batch_size, []
    text = f"train: the experiment ends after {total} steps; give Experiment(train_steps=...) or fewer max_steps; step:"
    # After the element: where the data has ended, so has the training, and this is no error.
    with tf.control_dependencies([block.labels]):
        checks.append(_assert(block.first_step < total, text, [block.first_step]))
    if experiment.steps_per_loop == 1:
        text = f"features: a session call trains on one batch, so at most batch_size={size} examples an element; found:"
        if (block.labels.shape[0] or 0) > size:
            raise InputError(f"{text} {block.labels.shape[0]}")
        checks.append(_assert(block.examples <= size, text, [block.examples]))
    with tf.control_dependencies(checks):
        return block._replace(first_step=tf.identity(block.first_step))


def _extremes(values: tf.Tensor) -> List[tf.Tensor]:
    return [tf.reduce_min(values), tf.reduce_max(values)]


def _assert(condition: tf.Tensor, text: str, values: List[tf.Tensor]) -> tf.Operation:
    # The raw op: the public function wraps it in a tf.cond.
    return tf.raw_ops.Assert(condition=condition, data=[tf.constant(text), *values])


def _text(shape: tf.TensorShape) -> str:
    if shape.rank is None:
        return "unknown"
    return f"[{', '.join('n' if size is None else str(size) for size in shape.as_list())}]"
