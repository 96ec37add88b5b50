"""How much work a network is, for choices that an architecture's record leaves open."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from estimator_mnist.layers.network import Network

# Of the forward and backward pass over the images of one session call: a third of a second on two cores with AVX-512,
# which reach about 160 GFLOP/s in convolutions. conv, with 41 MFLOP an image, would get 1,233 images a call.
FLOP_OF_CALL = 5e10
MOST_IMAGES_OF_CALL = 12_800
# From this work on, chains of ops on several cores pay for the overhead of micro-batches. dense is below, with 0.6
# MFLOP an image, and lenet5 above, with 2.5 MFLOP.
FLOP_OF_MICRO_BATCHES = 2e6
MICRO_BATCHES = 4


def training_flop(network: "Network") -> float:
    """Returns the floating-point operations of the forward and backward pass over one image.

    The backward pass computes two products of the size of each product of the forward pass. Only products with weights
    count.
    """
    products = 0
    for layer, shape in network.walk():
        positions = math.prod(layer.output_shape(shape)[:-1])
        products += sum(
            positions * math.prod(weight.shape) for weight in layer.weights(shape).values() if len(weight.shape) > 1
        )
    return 3 * 2.0 * products


def images_per_call(network: "Network") -> int:
    """Returns how many images a session call should train on."""
    return max(1, min(MOST_IMAGES_OF_CALL, round(FLOP_OF_CALL / max(1.0, training_flop(network)))))


def shards(network: "Network") -> int:
    """Returns how many micro-batches a batch should have. It follows from the network alone, never from the machine."""
    return MICRO_BATCHES if network.has_statistics or training_flop(network) >= FLOP_OF_MICRO_BATCHES else 1
