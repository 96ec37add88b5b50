"""The gradients of a batch, computed by micro-batches."""

from typing import Any, Dict, List, NamedTuple

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers import normalization
from estimator_mnist.layers.network import Network, scaled
from estimator_mnist.model import cpu_parallelism, losses
from estimator_mnist.model.batches import Batches

Weights = Dict[Any, List[tf.Tensor]]  # the values of a network's parameters, each in its parts


class Gradients(NamedTuple):
    """What the forward and backward pass over a batch gives."""

    logits: tf.Tensor  # float32 [size, classes]
    losses: tf.Tensor  # float32 [size]
    of_weights: List[tf.Tensor]  # of the batch's loss, one for each part of each trained parameter
    statistics: normalization.Statistics  # of the normalisations, for their moving averages


def of_batch(
    experiment: Experiment, network: Network, weights: Weights, batch: Batches, masks: Dict[str, tf.Tensor]
) -> Gradients:
    """Returns the gradients of a batch, the sum of those of its micro-batches in their order.

    Each micro-batch is a chain of ops, and the CPU cores work on the chains side by side. That keeps them busier than
    many threads in each op do, and the maps of a micro-batch stay in a core's own cache.

    Args:
        experiment: Says the loss and the number of micro-batches.
        network: Computes the logits.
        weights: The values of its parameters.
        batch: One batch.
        masks: Of each dropout layer, by its name, for the batch.
    """
    sizes = cpu_parallelism.micro_batch_sizes(experiment, batch.images.shape[0])
    micro_batches = zip(*(tf.split(values, sizes) for values in batch))
    masks_of = {name: tf.split(mask, sizes) for name, mask in masks.items()}
    parts = [
        _of_micro_batch(
            experiment,
            network,
            weights,
            Batches(*micro_batch),
            {name: mask[number] for name, mask in masks_of.items()},
        )
        for number, micro_batch in enumerate(micro_batches)
    ]
    if len(parts) == 1:
        return parts[0]
    return Gradients(
        logits=tf.concat([part.logits for part in parts], 0),
        losses=tf.concat([part.losses for part in parts], 0),
        of_weights=[tf.add_n(list(gradients)) for gradients in zip(*(part.of_weights for part in parts))],
        statistics=normalization.mean_of([part.statistics for part in parts]),
    )


def _of_micro_batch(
    experiment: Experiment, network: Network, weights: Weights, micro_batch: Batches, masks: Dict[str, tf.Tensor]
) -> Gradients:
    statistics: normalization.Statistics = {}
    logits = network(scaled(micro_batch.images), masks, weights, statistics)
    loss, gradient = losses.create(experiment).with_gradient(micro_batch.labels, logits)
    trained = [part for key in network.trained() for part in weights[key]]
    return Gradients(logits, loss, tf.gradients(logits, trained, gradient * micro_batch.weights), statistics)
