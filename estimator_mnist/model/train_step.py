"""The training steps of one session call: a block of batches, trained on one after the other.

The loop holds only what has to follow from step to step. Random numbers, learning rates, the sum of the losses and the
accuracy are computed for all steps of the block at once.
"""

import contextlib
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Tuple

import tensorflow as tf

from estimator_mnist.architectures.lenet5_1998 import hessian_diagonal
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies
from estimator_mnist.layers import batch_norm
from estimator_mnist.layers.layers import Noise
from estimator_mnist.layers.network import Network, scaled
from estimator_mnist.model import cpu_parallelism, losses, weight_ema
from estimator_mnist.model.optimizers import Optimizer, step_scalars


class Block(NamedTuple):
    """What came of the steps of a block, of all replicas together."""

    done: tf.Operation  # all of its updates
    steps: tf.Tensor  # int32 scalar
    examples: tf.Tensor  # int32 scalar
    loss_of_step: tf.Tensor  # float32 [steps], the sum over the batch's examples
    correct: tf.Tensor  # float32 scalar, examples classified right
    learning_rate: tf.Tensor  # float32 scalar, of the first step


def train_on_block(
    experiment: Experiment,
    network: Network,
    optimizer: Optimizer,
    images: tf.Tensor,
    labels: tf.Tensor,
    first_step: tf.Tensor,
    average: Optional[weight_ema.Average] = None,
    first_images: Optional[tf.Tensor] = None,
    examples: Optional[tf.Tensor] = None,
    step_numbers: Optional[tf.Tensor] = None,
) -> Block:
    """Makes a step on each batch of a block. Where there are replicas, each calls this with its part of the block.

    Args:
        experiment: Its batch_size and loss say what a step is.
        network: With its variables made.
        optimizer: With its slots made.
        images: uint8 [n, 28, 28, 1] of 0 to 255, or float32 of 0 to 1: one or more batches, the last one smaller if
            need be.
        labels: int32 [n].
        first_step: int64 scalar, steps of the run before the block.
        average: Of the network's weights, to be kept up.
        first_images: The first images of the training split, which "lecun" estimates its step sizes on.
        examples: int32 scalar, of all parts of the block; None where this is all.
        step_numbers: int64 [steps], the steps of the run before each of the batches; None where they follow each other.
    """
    if experiment.optimizer == "lecun":
        assert first_images is not None
        _estimate_step_sizes(experiment, network, optimizer, first_images, first_step)
    replica, whole, count = strategies.replica(), experiment.batch_size, tf.shape(labels)[0]
    size = replica.size(whole)
    examples = count if examples is None else examples
    steps = (examples + whole - 1) // whole
    batches = _batches(experiment, images, labels, examples, steps, size)
    consecutive = step_numbers is None
    if step_numbers is None:
        step_numbers = first_step + tf.range(tf.cast(steps, tf.int64))
    batches["scalars"] = step_scalars(experiment, step_numbers)
    if average:
        batches["average_share"] = weight_ema.shares(experiment.average_decay, step_numbers)
    if experiment.batch_norm:
        batches["statistics_share"] = weight_ema.shares(batch_norm.DECAY, step_numbers)
    if consecutive:
        noise = network.noise(experiment.seed, first_step, steps, whole)
    else:
        noise = _noise_of(network, experiment, step_numbers)

    def step_on(batch: tf.Tensor, before: tf.Tensor) -> Tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        rows = {name: tf.gather(value, batch) for name, value in batches.items()}
        noise_rows = {name: bits.of_step(tf.gather(bits.bits, batch)) for name, bits in noise.items()}
        if replica.replicas > 1:  # that of the whole batch, so that it does not depend on how many share it
            noise_rows = {name: value[replica.number :: replica.replicas] for name, value in noise_rows.items()}
        # Only the weights wait for the step before: the inputs of a step are made ready while that one still runs.
        with tf.control_dependencies([before]):
            values = {
                key: [part.read_value() for part in parameter.parts] for key, parameter in network.variables.items()
            }
        logits, loss, gradients, statistics = _gradients(experiment, network, values, rows, noise_rows)
        gradients = strategies.summed(gradients)
        update = optimizer.apply(gradients, tf.unstack(rows["scalars"]))
        for key, value in statistics.items():
            with tf.control_dependencies([update]):
                update = weight_ema.move(network.variables[key].parts[0], value, rows["statistics_share"])
        if average:
            with tf.control_dependencies([update]):
                update = average.update(rows["average_share"])
        with tf.control_dependencies([update]):
            after = tf.identity(batch)
        return after, logits, loss

    def turn(batch: tf.Tensor, before: tf.Tensor, logits_of_step: tf.TensorArray, losses_of_step: tf.TensorArray):
        after, logits, loss = step_on(batch, before)
        return batch + 1, after, logits_of_step.write(batch, logits), losses_of_step.write(batch, loss)

    if experiment.steps_per_loop > 1:
        with _light_control_flow():
            state = (
                tf.constant(0),
                tf.constant(-1),
                tf.TensorArray(tf.float32, steps, element_shape=[size, experiment.classes]),
                tf.TensorArray(tf.float32, steps, element_shape=[size]),
            )
            _, done, logits_of_step, losses_of_step = tf.while_loop(
                lambda batch, *_: batch < steps, turn, state, parallel_iterations=2, back_prop=False
            )
            all_logits, all_losses = logits_of_step.concat(), losses_of_step.stack()
    else:
        done, all_logits, loss = step_on(tf.constant(0), tf.constant(-1))
        all_losses = loss[tf.newaxis]
    with tf.control_dependencies([done]):
        finished = tf.no_op()
    real = tf.reshape(tf.sequence_mask(count, steps * size), [steps, size])
    right = tf.equal(tf.argmax(all_logits, axis=1, output_type=tf.int32)[:count], labels)
    # Where, and not times: a padded row of a network that has come to infinity must not count.
    counted = tf.where(real, all_losses, tf.zeros([]))
    with tf.control_dependencies([finished]):  # all replicas have to come to the same sums in the same order
        sums = [tf.reduce_sum(counted, axis=1), tf.reduce_sum(tf.cast(right, tf.float32))]
    if replica.replicas > 1:  # what is summed over processes must be of the same shape every time
        sums[0] = tf.pad(sums[0], [[0, experiment.steps_per_loop - steps]])
        sums[0].set_shape([experiment.steps_per_loop])
    loss_of_step, correct = strategies.summed(sums)
    loss_of_step = loss_of_step[:steps] if replica.replicas > 1 else loss_of_step
    return Block(finished, steps, examples, loss_of_step, correct, batches["scalars"][0, 0])


def _noise_of(network: Network, experiment: Experiment, step_numbers: tf.Tensor) -> Dict[str, Noise]:
    """Returns the noise of steps that do not follow each other."""
    first = step_numbers[0]
    span = tf.cast(step_numbers[-1] - first, tf.int32) + 1
    drawn = network.noise(experiment.seed, first, span, experiment.batch_size)
    return {name: noise._replace(bits=tf.gather(noise.bits, step_numbers - first)) for name, noise in drawn.items()}


def _estimate_step_sizes(
    experiment: Experiment, network: Network, optimizer: Optimizer, images: tf.Tensor, first_step: tf.Tensor
) -> None:
    """Lets the optimizer estimate its step sizes at the first step of each pass, where a block always begins."""
    values = {key: [part.read_value() for part in parameter.parts] for key, parameter in network.variables.items()}

    def estimate() -> List[tf.Tensor]:
        initial = tf.equal(first_step, 0)
        grown = hessian_diagonal.grown(network, values)
        taken = {key: [tf.where(initial, grown[key][0], part)] for key, (part,) in values.items()}
        found = hessian_diagonal.diagonal(experiment, network, taken, images)
        return [found[key] for key in network.variables]

    optimizer.begin(tf.equal(first_step % experiment.steps_per_epoch, 0), estimate)


@contextlib.contextmanager
def _light_control_flow() -> Iterator[None]:
    """Builds loops of TensorFlow's first kind: a turn of the second kind costs some fifty ops more in a session."""
    second_kind = tf.compat.v1.control_flow_v2_enabled()
    tf.compat.v1.disable_control_flow_v2()
    try:
        yield
    finally:
        if second_kind:
            tf.compat.v1.enable_control_flow_v2()


def _batches(
    experiment: Experiment, images: tf.Tensor, labels: tf.Tensor, examples: tf.Tensor, steps: tf.Tensor, size: int
) -> Dict[str, tf.Tensor]:
    """Returns a block by its batches: "images", "labels", and "weights", each row's in the mean of its batch, or sum.

    The rows, `size` a batch, are this replica's part of the block's `examples`. The last batch is filled up, so that
    all have one static shape: with zeros or, as normalisations take them into their statistics, its own rows again.
    They weigh nothing.
    """
    whole, summed, count = experiment.batch_size, experiment.optimizer == "lecun", tf.shape(labels)[0]
    missing = steps * size - count

    def fill_up(values: tf.Tensor) -> tf.Tensor:
        if not experiment.batch_norm:
            return tf.pad(values, [[0, missing]] + [[0, 0]] * (values.shape.rank - 1))
        start = count // size * size  # of the smaller batch
        return tf.concat([values, tf.gather(values, start + tf.range(missing) % (count - start))], axis=0)

    def by_batch(values: tf.Tensor) -> tf.Tensor:
        # It copies the block: only where something is missing.
        filled = tf.cond(missing > 0, lambda: fill_up(values), lambda: values)
        return tf.reshape(filled, [steps, size, *values.shape[1:]])

    positions = tf.range(steps * size)
    in_batch = 1 if summed else tf.where(positions < examples // whole * size, whole, examples % whole)
    weights = tf.where(positions < count, 1.0 / tf.cast(in_batch, tf.float32), tf.zeros([]))
    return {
        "images": by_batch(images),
        "labels": by_batch(labels),
        "weights": tf.reshape(weights, [steps, size, 1]),
    }


def _gradients(
    experiment: Experiment,
    network: Network,
    values: Dict[Any, List[tf.Tensor]],
    rows: Dict[str, tf.Tensor],
    noise: Dict[str, tf.Tensor],
) -> Tuple[tf.Tensor, tf.Tensor, List[tf.Tensor], batch_norm.Statistics]:
    """Returns the logits, the losses, the gradients of the batch's mean loss, and what normalisations found.

    The batch is cut into shards, a chain of ops each, that the cores work on side by side: that keeps them busier than
    many threads in each op do, and a shard's maps stay in a core's own cache.
    """
    variables = [part for key in network.trained() for part in values[key]]
    cuts = cpu_parallelism.shard_sizes(experiment, rows["images"].shape[0])
    names = ("images", "labels", "weights")
    shards = zip(*(tf.split(rows[name], cuts) for name in names))
    noise_shards = {name: tf.split(value, cuts) for name, value in noise.items()}
    logits, loss_shards, gradients = [], [], []
    found: List[batch_norm.Statistics] = []
    for number, (images, labels, weights) in enumerate(shards):
        noise_shard = {name: value[number] for name, value in noise_shards.items()}
        found.append({})
        logits.append(network(scaled(images), noise_shard, values, found[-1]))
        loss, gradient = losses.with_gradient(experiment, labels, logits[-1])
        loss_shards.append(loss)
        gradients.append(tf.gradients(logits[-1], variables, gradient * weights))
    if len(cuts) == 1:
        return logits[0], loss_shards[0], gradients[0], found[0]
    summed = [tf.add_n(list(parts)) for parts in zip(*gradients)]
    return tf.concat(logits, 0), tf.concat(loss_shards, 0), summed, batch_norm.mean_of(found)
