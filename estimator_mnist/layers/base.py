"""What every layer is: a name, the weights it needs, the shape it returns, and its computation.

Shapes leave the batch out: (28, 28, 1) for images, (784,) for vectors. All values are float32.
"""

from dataclasses import dataclass
from typing import ClassVar, Dict, List, NamedTuple, Optional, Tuple, Union

import tensorflow as tf

from estimator_mnist.layers import arguments
from estimator_mnist.layers.variables import Shape

Parts = List[tf.Tensor]  # partitions of an array along its last axis; mostly one, the array itself


class Weight(NamedTuple):
    """An array before it is created: drawn uniformly from [-limit, limit], or filled with `start` if the limit is 0."""

    shape: Shape
    limit: Union[float, Tuple[float, ...]]  # or one limit for each index of the last axis
    parts: int = 1
    axis: int = 0  # the axis along which it is partitioned
    start: float = 0.0
    trained: bool = True  # by gradients; otherwise a moving average


@dataclass(frozen=True)
class Layer:
    """A layer with a name that no layer beside it has: letters, digits and "_"."""

    name: str

    input_rank: ClassVar[Optional[int]] = None  # of the shape that it takes: 3 for images, 1 for vectors, None for any

    def __post_init__(self) -> None:
        arguments.check(self)

    def weights(self, shape: Shape) -> Dict[str, Weight]:
        """Returns the arrays that the layer needs for inputs of a shape, by name."""
        return {}

    def output_shape(self, shape: Shape) -> Shape:
        """Returns the shape of the output for inputs of a shape."""
        return shape

    def __call__(self, x: Parts, weights: Dict[str, Parts], mask: Optional[tf.Tensor]) -> Parts:
        """Computes the layer on a batch.

        Args:
            x: float32 [batch, *shape], in its partitions.
            weights: The values of `weights(shape)`, each in its partitions.
            mask: In training, the mask of a Dropout, float32 [batch, *shape]. None for every other layer and use.
        """
        (unpartitioned,) = x
        return [self.compute(unpartitioned, {name: value for name, (value,) in weights.items()})]

    def compute(self, x: tf.Tensor, weights: Dict[str, tf.Tensor]) -> tf.Tensor:
        """Computes a layer that has no partitions. Layers with partitions override `__call__`."""
        return self.activate(self.linear(x, weights))

    def linear(self, x: tf.Tensor, weights: Dict[str, tf.Tensor]) -> tf.Tensor:
        """Computes the weighted sums of the units. Each adds up weights, and inputs times weights."""
        raise NotImplementedError

    def activate(self, x: tf.Tensor) -> tf.Tensor:
        """Computes the units' activations from their weighted sums."""
        return x


def glorot_limit(fan_in: int, fan_out: int) -> float:
    """Returns the limit of the uniform distribution that keeps the variance constant from layer to layer.

    Source: Glorot and Bengio 2010, equation 16.

    Args:
        fan_in: Inputs of a unit.
        fan_out: Units that an input reaches.
    """
    return (6.0 / (fan_in + fan_out)) ** 0.5
