"""Layers made of branches: chains of layers that all take the same input. Branches may hold such layers again."""

import dataclasses
from dataclasses import dataclass
from typing import List, Optional, Sequence, Tuple

import tensorflow as tf

from estimator_mnist.layers.activations import ActivationFunction
from estimator_mnist.layers.base import Layer
from estimator_mnist.layers.variables import Shape
from input_fns import InputError

Chain = Sequence[Layer]


@dataclass(frozen=True)
class Branched(Layer):
    """A layer that merges the outputs of its branches. An empty branch is the identity."""

    @property
    def chains(self) -> Tuple[Chain, ...]:
        """The branches, in the order that `merge` takes their outputs in."""
        raise NotImplementedError

    def with_chains(self, chains: Sequence[Chain]) -> "Branched":
        """Returns this layer with other branches, as many as it has."""
        raise NotImplementedError

    def merge(self, outputs: List[tf.Tensor]) -> tf.Tensor:
        """Computes the layer from the outputs of its branches."""
        raise NotImplementedError

    def merged_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Returns the shape of the output.

        Args:
            shapes: Of the outputs of the branches.

        Raises:
            InputError: The shapes do not fit each other.
        """
        raise NotImplementedError

    def output_shape(self, shape: Shape) -> Shape:
        return self.merged_shape([_shape_behind(chain, shape) for chain in self.chains])


@dataclass(frozen=True)
class Residual(Branched):
    """The sum of a branch and a shortcut, then the activation (He et al., arXiv 1512.03385).

    The shortcut is the identity, or a chain that brings the input to the shape of the branch's output.
    """

    layers: Chain
    shortcut: Chain = ()
    activation: Optional[ActivationFunction] = None

    @property
    def chains(self) -> Tuple[Chain, ...]:
        return (self.layers, self.shortcut)

    def with_chains(self, chains: Sequence[Chain]) -> "Residual":
        layers, shortcut = chains
        return dataclasses.replace(self, layers=layers, shortcut=shortcut)

    def merge(self, outputs: List[tf.Tensor]) -> tf.Tensor:
        branch, shortcut = outputs
        return self.activate(branch + shortcut)

    def activate(self, x):
        return self.activation(x) if self.activation else x

    def merged_shape(self, shapes: Sequence[Shape]) -> Shape:
        branch, shortcut = shapes
        if branch != shortcut:
            ends = f"its branch ends in {shown(branch)} and its shortcut in {shown(shortcut)}"
            raise InputError(f"layer {self.name}: {ends}; a sum needs equal shapes")
        return branch


@dataclass(frozen=True)
class Parallel(Branched):
    """Two or more branches side by side: their outputs, concatenated along the last axis (arXiv 1409.4842)."""

    branches: Sequence[Chain]

    @property
    def chains(self) -> Tuple[Chain, ...]:
        return tuple(self.branches)

    def with_chains(self, chains: Sequence[Chain]) -> "Parallel":
        return dataclasses.replace(self, branches=chains)

    def merge(self, outputs: List[tf.Tensor]) -> tf.Tensor:
        return tf.concat(outputs, axis=-1)

    def merged_shape(self, shapes: Sequence[Shape]) -> Shape:
        if len(shapes) < 2:
            raise InputError(f"layer {self.name}: it has {len(shapes)} branches; it needs two or more")
        if len({shape[:-1] for shape in shapes}) > 1:
            ends = " and ".join(map(shown, shapes))
            raise InputError(f"layer {self.name}: its branches end in {ends}; all axes but the last must be equal")
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))


def shown(shape: Shape) -> str:
    """Returns a shape as people write it: 28x28x1."""
    return "x".join(map(str, shape))


def _shape_behind(chain: Chain, shape: Shape) -> Shape:
    for layer in chain:
        shape = layer.output_shape(shape)
    return shape
