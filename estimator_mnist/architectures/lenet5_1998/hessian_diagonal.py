"""The curvature of the loss along each weight: the diagonal of the Hessian's Gauss-Newton approximation.

It is propagated backwards like a gradient (LeCun et al. 1998, appendix C, equations 22 to 27; "Efficient BackProp",
section 9.1). The second derivative to a unit's weighted sum a is f'(a)^2 times the one to its state. Multiplied by the
squared input it is the one to a weight, and multiplied by the squared weight the one to an input. A shared weight adds
up those of its uses. So all are gradients of the same sums with inputs and weights squared.
"""

from typing import Dict, List, Tuple

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures.lenet5_1998 import paper_layers, penalties
from estimator_mnist.architectures.lenet5_1998.paper_layers import Rbf
from estimator_mnist.layers.network import Network, scaled

Key = Tuple[str, str]  # layer and weight
WIDER = 1.5  # see `as_if_drawn_wider`
Values = Dict[Key, List[tf.Tensor]]  # of the network's parameters, each in its partitions


def diagonal(loss: str, network: Network, values: Values, images: tf.Tensor) -> Dict[Key, tf.Tensor]:
    """Returns the mean over some examples of the second derivative of the loss to each weight, never negative.

    It needs no labels: the term of the right class has the same second derivative for every class.

    Args:
        loss: The value of --loss.
        network: A chain that ends with Rbf. Its other layers have a `linear`.
        values: The network's parameters, each in one partition.
        images: uint8 of 0 to 255 or float32 of 0 to 1, [n, height, width, channels].
    """
    *layers, last = network.layers
    assert isinstance(last, Rbf), last
    outputs = [output for (output,) in network.outputs(scaled(images), values=values)]
    second = last.second_derivative(outputs[-2], penalties.posterior(loss, outputs[-1]))
    diagonals: Dict[Key, tf.Tensor] = {}
    for position in reversed(range(1, len(layers))):  # the first layer is the input
        layer, x = layers[position], outputs[position - 1]
        weights = {name: value for (owner, name), (value,) in values.items() if owner == layer.name}
        sums = layer.linear(x, weights)
        slope = tf.gradients(layer.activate(sums), sums)[0]
        squared = {name: tf.square(value) for name, value in weights.items()}
        inputs = tf.square(x)
        second, *of_weights = tf.gradients(
            layer.linear(inputs, squared), [inputs, *squared.values()], tf.square(slope) * second
        )
        examples = tf.cast(tf.shape(x)[0], tf.float32)
        diagonals.update({(layer.name, name): value / examples for name, value in zip(weights, of_weights)})
    return diagonals


def as_if_drawn_wider(network: Network, values: Values) -> Values:
    """Returns initial weights as if they had been drawn within WIDER / sqrt(inputs) in place of 2.4 / inputs.

    At the initial weights, the second derivatives of the first layers are about 1e-5. Their step sizes would be
    rate / MU, the largest possible, and the network would saturate within twenty steps for good. Nor can the paper's
    step sizes of the first pass, 0.00007 to 0.016, come from such weights, which give 0.0002 to 0.025. The wider
    weights give 0.00003 to 0.021.
    """
    factors = {}
    for key, weight in network.weights():
        limit = np.array(weight.limit, np.float32)
        factors[key] = WIDER / np.sqrt(paper_layers.LIMIT * limit)
    return {key: [part * factors[key] for part in parts] for key, parts in values.items()}
