"""The training steps of one session call: a block of batches, trained on one after the other.

The loop holds only what has to follow from step to step. Dropout masks, learning rates, the sum of the losses and the
accuracy are computed for all steps of the block at once.
"""

import contextlib
from typing import Dict, Iterator, NamedTuple, Optional, Tuple

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies
from estimator_mnist.layers import normalization
from estimator_mnist.layers.dropout import DropoutMasks
from estimator_mnist.layers.network import Network
from estimator_mnist.model import batches, gradients, weight_ema
from estimator_mnist.model.batches import Batches, Block
from estimator_mnist.model.optimizers import Optimizer, step_scalars
from estimator_mnist.model.weight_ema import WeightAverage


class Trainer(NamedTuple):
    """What a step changes, all variables made."""

    network: Network
    optimizer: Optimizer
    average: Optional[WeightAverage]  # of the network's weights


class BlockResult(NamedTuple):
    """The outcome of training on a block, of all replicas together."""

    updates: tf.Operation  # all of them
    steps: tf.Tensor  # int32 scalar
    examples: tf.Tensor  # int32 scalar
    loss_of_step: tf.Tensor  # float32 [steps], the sum over the batch's examples
    correct: tf.Tensor  # float32 scalar, examples classified correctly
    learning_rate: tf.Tensor  # float32 scalar, of the first step


class StepInputs(NamedTuple):
    """What the steps of a block need, a row a step."""

    batches: Batches
    scalars: tf.Tensor  # float32 [steps, 3]; see `step_scalars`
    shares: Dict[str, tf.Tensor]  # float32 [steps], of the newest value in each moving average
    masks: Dict[str, DropoutMasks]  # by dropout layer

    def masks_of(self, step: tf.Tensor) -> Dict[str, tf.Tensor]:
        """Returns this replica's part of each dropout mask of a step.

        Masks are drawn for the whole batch, so that they do not depend on how many replicas share it.
        """
        of_batch = {name: masks.of_step(tf.gather(masks.bits, step)) for name, masks in self.masks.items()}
        replica = strategies.replica()
        if replica.replicas == 1:
            return of_batch
        return {name: mask[replica.number :: replica.replicas] for name, mask in of_batch.items()}


def train_on_block(experiment: Experiment, trainer: Trainer, block: Block) -> BlockResult:
    """Makes a step on each batch of a block. Where there are replicas, each calls this with its part of the block."""
    trainer.optimizer.begin(trainer.network, block.curvature_images, block.first_step)
    steps = batches.steps_in(experiment, block)
    inputs = _step_inputs(experiment, trainer, block, steps)
    if experiment.steps_per_loop > 1:
        last, logits, losses = _loop(experiment, trainer, inputs, steps)
    else:
        last, logits, loss = _step(experiment, trainer, inputs, tf.constant(0), tf.constant(-1))
        losses = loss[tf.newaxis]
    with tf.control_dependencies([last]):
        updates = tf.no_op()
    loss_of_step, correct = _sums(experiment, block, updates, logits, losses)
    return BlockResult(updates, steps, block.examples, loss_of_step, correct, inputs.scalars[0, 0])


def _step_inputs(experiment: Experiment, trainer: Trainer, block: Block, steps: tf.Tensor) -> StepInputs:
    numbers = block.step_numbers
    if numbers is None:
        numbers = block.first_step + tf.range(tf.cast(steps, tf.int64))
    shares = {}
    if trainer.average:
        shares["average"] = weight_ema.shares(experiment.average_decay, numbers)
    if trainer.network.has_statistics:
        shares["statistics"] = weight_ema.shares(normalization.DECAY, numbers)
    return StepInputs(
        batches.split_into_batches(experiment, block, repeat_rows=trainer.network.has_statistics),
        step_scalars(experiment, numbers),
        shares,
        _dropout_masks(experiment, trainer.network, block, steps),
    )


def _dropout_masks(experiment: Experiment, network: Network, block: Block, steps: tf.Tensor) -> Dict[str, DropoutMasks]:
    seed, batch_size, numbers = experiment.seed, experiment.batch_size, block.step_numbers
    if numbers is None:
        return network.dropout_masks(seed, block.first_step, steps, batch_size)
    # Other processes train steps between these: theirs are drawn, too, and left out.
    span = tf.cast(numbers[-1] - numbers[0], tf.int32) + 1
    drawn = network.dropout_masks(seed, numbers[0], span, batch_size)
    return {name: masks._replace(bits=tf.gather(masks.bits, numbers - numbers[0])) for name, masks in drawn.items()}


def _step(
    experiment: Experiment, trainer: Trainer, inputs: StepInputs, step: tf.Tensor, previous: tf.Tensor
) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Makes one step.

    Args:
        experiment: What is trained.
        trainer: What the step changes.
        inputs: Of the whole block.
        step: Its number in the block, int32 scalar.
        previous: Is computed when the step before is done.

    Returns:
        A tensor that is computed when this step is done, the logits, and the loss of each example.
    """
    batch, masks = inputs.batches.batch(step), inputs.masks_of(step)
    scalars = tf.unstack(tf.gather(inputs.scalars, step))
    shares = {name: tf.gather(values, step) for name, values in inputs.shares.items()}
    # Only the weights wait for the step before: the inputs of a step are prepared while that one still runs.
    with tf.control_dependencies([previous]):
        weights = trainer.network.read()
    computed = gradients.of_batch(experiment, trainer.network, weights, batch, masks)
    update = trainer.optimizer.apply(strategies.summed(computed.of_weights), scalars)
    for key, value in computed.statistics.items():
        with tf.control_dependencies([update]):
            update = weight_ema.move(trainer.network.variables[key].parts[0], value, shares["statistics"])
    if trainer.average:
        with tf.control_dependencies([update]):
            update = trainer.average.update(shares["average"])
    with tf.control_dependencies([update]):
        return tf.identity(step), computed.logits, computed.losses


def _loop(
    experiment: Experiment, trainer: Trainer, inputs: StepInputs, steps: tf.Tensor
) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Makes the steps of a block; returns as `_step`, of all steps together."""
    size = inputs.batches.images.shape[1]

    def body(step: tf.Tensor, previous: tf.Tensor, logits: tf.TensorArray, losses: tf.TensorArray):
        done, logits_of_step, losses_of_step = _step(experiment, trainer, inputs, step, previous)
        return step + 1, done, logits.write(step, logits_of_step), losses.write(step, losses_of_step)

    with _control_flow_v1():
        state = (
            tf.constant(0),
            tf.constant(-1),
            tf.TensorArray(tf.float32, steps, element_shape=[size, experiment.classes]),
            tf.TensorArray(tf.float32, steps, element_shape=[size]),
        )
        _, last, logits, losses = tf.while_loop(
            lambda step, *_: step < steps, body, state, parallel_iterations=2, back_prop=False
        )
        return last, logits.concat(), losses.stack()


@contextlib.contextmanager
def _control_flow_v1() -> Iterator[None]:
    """Uses control-flow v1 while loops: v2 adds about 50 ops an iteration."""
    enabled = tf.compat.v1.control_flow_v2_enabled()
    tf.compat.v1.disable_control_flow_v2()
    try:
        yield
    finally:
        if enabled:
            tf.compat.v1.enable_control_flow_v2()


def _sums(
    experiment: Experiment, block: Block, updates: tf.Operation, logits: tf.Tensor, losses: tf.Tensor
) -> Tuple[tf.Tensor, tf.Tensor]:
    """Returns the loss of each step, float32 [steps], and how many examples were classified correctly.

    Args:
        experiment: What is trained.
        block: The examples.
        updates: Of all steps.
        logits: float32 [steps * size, classes].
        losses: float32 [steps, size].
    """
    steps, size, count = batches.steps_in(experiment, block), losses.shape[1], tf.shape(block.labels)[0]
    real = tf.reshape(tf.sequence_mask(count, steps * size), [steps, size])
    predicted = tf.argmax(logits, axis=1, output_type=tf.int32)[:count]
    right = tf.cast(tf.equal(predicted, block.labels), tf.float32)
    # tf.where and not a product: a padded row of a network that has diverged to infinity must not count.
    counted = tf.where(real, losses, tf.zeros([]))
    with tf.control_dependencies([updates]):  # all replicas must reach the same sums in the same order
        loss_of_step, correct = tf.reduce_sum(counted, axis=1), tf.reduce_sum(right)
    if strategies.replica().replicas == 1:
        return loss_of_step, correct
    # What is summed over processes must have the same shape every time.
    most = experiment.steps_per_loop
    padded = tf.ensure_shape(tf.pad(loss_of_step, [[0, most - steps]]), [most])
    loss_of_step, correct = strategies.summed([padded, correct])
    return loss_of_step[:steps], correct
