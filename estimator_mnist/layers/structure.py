"""The tree of a network's layers: paths, the order in which it is walked, and what makes it impossible."""

import copy
import numbers
import re
from typing import Iterator, List, Optional, Set, Tuple

from estimator_mnist.layers.base import Layer, Weight
from estimator_mnist.layers.branches import Branched, Chain, shown
from estimator_mnist.layers.variables import Shape
from estimator_mnist.user_code import with_place
from input_fns import InputError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]*")
# What a layer takes, by the rank of its input's shape, and how to get there.
WANTED = {
    1: ("vectors", "put Flatten or GlobalAveragePool before it"),
    3: ("images", "put it before Flatten or GlobalAveragePool"),
}


def with_paths(layers: Chain) -> List[Layer]:
    """Returns layers whose names are their paths: "block1/conv1" for conv1 in a branch of block1.

    Raises:
        InputError: A name is not possible, or two layers beside each other have the same.
    """
    return _chain_with_paths(layers, "", set())


def walk(layers: Chain, shape: Shape) -> Iterator[Tuple[Layer, Shape]]:
    """Yields each layer and the shape of its input. Branches come before the layer that merges them."""
    for layer in layers:
        if isinstance(layer, Branched):
            for chain in layer.chains:
                yield from walk(chain, shape)
        yield layer, shape
        shape = layer.output_shape(shape)


def check(layers: Chain, image_shape: Shape, classes: Optional[int]) -> None:
    """Checks that layers fit each other.

    Args:
        layers: With their paths.
        image_shape: Height, width and channels of the images.
        classes: How many logits the last layer must give; None for any number.

    Raises:
        InputError: A layer cannot take its input, its methods return something impossible or raise an exception, or the
            last layer does not give logits.
    """
    for layer, shape in walk(layers, image_shape):
        if layer.input_rank not in (None, len(shape)):
            wanted, hint = WANTED[layer.input_rank]
            raise InputError(f"layer {layer.name}: it takes {wanted} and gets {shown(shape)}; {hint}")
        output = _checked_output_shape(layer, shape)
        _check_weights(layer, shape)
        if min(output, default=0) < 1:
            sides = f"turns {shown(shape)} into {shown(output)}"
            raise InputError(f"layer {layer.name}: it {sides}; every side of the output must be 1 or more")
    end = image_shape
    for layer in layers:
        end = layer.output_shape(end)
    if len(end) != 1 or classes not in (None, end[0]):
        last = f"layer {layers[-1].name}" if layers else "layers"
        logits = "a vector of logits" if classes is None else f"{classes} logits, one for each class"
        raise InputError(f"{last}: the network ends in {shown(end)} and must end in {logits}")


def _checked_output_shape(layer: Layer, shape: Shape) -> Shape:
    with with_place(f"layer {layer.name}: "):
        output = layer.output_shape(shape)
    if not _is_shape(output):
        raise InputError(f"layer {layer.name}: output_shape returned {output!r}; it must return a tuple of integers")
    return output


def _check_weights(layer: Layer, shape: Shape) -> None:
    with with_place(f"layer {layer.name}: "):
        weights = layer.weights(shape)
    if not isinstance(weights, dict):
        raise InputError(f"layer {layer.name}: weights returned {type(weights).__name__}; it must return a dict")
    for name, weight in weights.items():
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise InputError(f"layer {layer.name}: weight {name!r}: a name has letters, digits and _")
        if not (isinstance(weight, Weight) and _is_shape(weight.shape)):
            raise InputError(f"layer {layer.name}: weight {name} is {weight!r}; it must be a Weight(shape, limit)")


def _is_shape(value: object) -> bool:
    return isinstance(value, tuple) and all(isinstance(side, numbers.Integral) for side in value)


def _with_path(layer: Layer, folder: str, names: Set[str]) -> Layer:
    """Returns a layer with its path for a name; `names` are those beside it, to which it adds its own."""
    path = folder + layer.name
    if not NAME.fullmatch(layer.name):
        raise InputError(f"layer {path!r}: a name has letters, digits and _, and begins with a letter or digit")
    if layer.name in names:
        raise InputError(f"layer {path}: two layers have this name; give each one another")
    names.add(layer.name)
    renamed = layer
    if folder:
        renamed = copy.copy(layer)  # not dataclasses.replace: a layer of a user's may have an __init__ of its own
        object.__setattr__(renamed, "name", path)
    if not isinstance(renamed, Branched):
        return renamed
    within: Set[str] = set()  # all branches share it
    return renamed.with_chains([_chain_with_paths(chain, f"{path}/", within) for chain in renamed.chains])


def _chain_with_paths(chain: Chain, folder: str, names: Set[str]) -> List[Layer]:
    if not (isinstance(chain, (list, tuple)) and all(isinstance(layer, Layer) for layer in chain)):
        raise InputError(f"layer {folder[:-1]}: a branch is {chain!r}; it must be a list of layers")
    return [_with_path(layer, folder, names) for layer in chain]
