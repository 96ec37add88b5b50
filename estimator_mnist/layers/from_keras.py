"""Keras models as lists of layers."""

import dataclasses
import re
from typing import Any, Dict, List, Optional, Sequence, Set

import numpy as np
import tensorflow as tf

from estimator_mnist.layers import keras_graph
from estimator_mnist.layers.activations import Activation
from estimator_mnist.layers.base import Layer
from estimator_mnist.layers.branches import Parallel, Residual
from estimator_mnist.layers.keras_graph import Problem, Step
from estimator_mnist.layers.keras_translations import Untranslatable, check_settings, kind_of, translated
from input_fns import InputError


def from_keras(model: Any) -> List[Layer]:
    """Translates the architecture of a Keras model. Its weights and its initializers are left behind.

    What networks do without here is dropped: a Rescaling(1/255) in front, because they take images in [0, 1], and a
    softmax at the end, because they end in logits. Names that Keras has chosen ("dense_7") are counted anew: they
    depend on the models that a process has made before.

    Args:
        model: tf.keras.Sequential, or a functional model of one input and one output whose forks meet in Add or
            Concatenate.

    Returns:
        Layers for a network function. The network takes images of the data's shape.

    Raises:
        InputError: It names all layers that have no translation, and says why.
    """
    if not isinstance(model, tf.keras.Model):
        kind = f"{type(model).__module__}.{type(model).__name__}"
        raise InputError(f"from_keras: takes a tf.keras.Model of TensorFlow {tf.__version__}, not a {kind}")
    problems: List[Problem] = []
    steps = _without_preparation(keras_graph.steps_of(model, problems), getattr(model, "input_shape", None), problems)
    chain = _ending_in_logits(_Translation(problems).chain(steps), problems)
    if problems:
        names: Dict[str, List[str]] = {}
        for name, reason in problems:
            names.setdefault(reason, []).append(name)
        listed = "; ".join(f"{', '.join(dict.fromkeys(those))} ({reason})" for reason, those in names.items())
        raise InputError(f"from_keras: cannot translate {listed}")
    return chain


def _without_preparation(steps: Sequence[Step], input_shape: Any, problems: List[Problem]) -> List[Step]:
    """Drops the steps in front that bring images to [0, 1] and into the shape of images.

    Args:
        steps: Of the model.
        input_shape: Of the model with its batch, None if it is not known.
        problems: Receives that the first layer takes images without channels.
    """
    shape = tuple(input_shape[1:]) if isinstance(input_shape, tuple) else None
    rest = list(steps)
    while rest:
        layer, kind = rest[0].layer, kind_of(rest[0].layer)
        if kind == "Reshape" and len(layer.target_shape) == 3:
            if shape is not None and len(shape) == 3 and shape != tuple(layer.target_shape):
                break
            shape = tuple(layer.target_shape)
        elif kind == "Rescaling":
            if not np.allclose(layer.scale, 1 / 255) or np.any(layer.offset):
                break
        elif kind not in ("InputLayer", "Identity"):
            break
        del rest[0]
    makes_vectors = bool(rest) and kind_of(rest[0].layer) in ("Flatten", "Reshape")
    if shape is None or len(shape) == 3 or makes_vectors:
        return rest
    if len(shape) == 1:  # of images that were made vectors before the model
        return [Step(tf.keras.layers.Flatten(name="flatten")), *rest]
    if rest:
        reason = f"it takes {shape}; put Flatten before it, or Reshape to (height, width, channels)"
        problems.append(Problem(rest[0].layer.name, reason))
    return rest


def _ending_in_logits(chain: List[Layer], problems: List[Problem]) -> List[Layer]:
    """Drops the softmax at the end of a chain."""
    if not chain:
        return chain
    *before, last = chain
    function = getattr(last, "activation", None)
    if function in (tf.keras.activations.softmax, tf.nn.softmax):
        without: Any = {"activation": None}
        return before if isinstance(last, Activation) else [*before, dataclasses.replace(last, **without)]
    if function in (tf.sigmoid, tf.nn.sigmoid):
        problems.append(Problem(last.name, "the model ends in a sigmoid; networks end in logits, one for each class"))
    return chain


class _Translation:
    """Translates steps, gives the layers their names and collects problems."""

    def __init__(self, problems: List[Problem]):
        self._problems = problems
        self._names: Set[str] = set()

    def chain(self, steps: Sequence[Step]) -> List[Layer]:
        layers = [self._layer(step) for step in steps]
        return [layer for layer in layers if layer is not None]

    def _layer(self, step: Step) -> Optional[Layer]:
        branches = [self.chain(branch) for branch in step.branches]
        name = self._name(step.layer)
        try:
            return _merged(step.layer, name, branches) if branches else translated(step.layer, name)
        except Untranslatable as error:
            self._problems.append(Problem(step.layer.name, f"{kind_of(step.layer)}: {error}"))
            return None

    def _name(self, layer: Any) -> str:
        """Returns a name for the translation of a layer that no other one has."""
        kind = kind_of(layer).partition(" ")[0]
        automatic = re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z0-9]+)", r"\1_\2", kind)).lower()
        numbered = re.fullmatch(rf"(.*\W)?{automatic}(_\d+)?|tf_op_layer_\w+", layer.name)
        base = automatic if numbered else re.sub(r"[^A-Za-z0-9_]", "_", layer.name).lstrip("_") or automatic
        name, count = base, 0
        while name in self._names:
            count += 1
            name = f"{base}_{count}"
        self._names.add(name)
        return name


def _merged(layer: Any, name: str, branches: List[List[Layer]]) -> Layer:
    """Returns the translation of a layer that merges branches.

    Raises:
        Untranslatable: There is none.
    """
    kind = kind_of(layer)
    check_settings(layer)
    if kind == "Concatenate":
        rank = len(layer.output_shape)
        if layer.axis not in (-1, rank - 1):
            raise Untranslatable(f"axis {layer.axis}; it must be the last one")
        return Parallel(name, branches)
    if kind != "Add":
        raise Untranslatable("there is no such layer here; forks meet in Add or Concatenate")
    if len(branches) != 2:
        raise Untranslatable(f"it adds {len(branches)} branches; a Residual adds 2")
    shortcut, residual = sorted(branches, key=len)
    return Residual(name, residual, shortcut)
