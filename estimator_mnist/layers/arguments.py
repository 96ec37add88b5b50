"""Checks of the arguments of layers, so that the line of a user's file that gives a wrong one is named."""

import dataclasses
import numbers
from typing import Any

from input_fns import InputError

MINIMA = {"filters": 1, "units": 1, "size": 1, "strides": 1, "margin": 0}


def check(layer: Any) -> None:
    """Checks the arguments that a layer, a dataclass, was made with.

    Raises:
        InputError: The name is no string, a field of type int holds another type or too small a number, a `rate` is
            not in [0, 1), or an `activation` is neither a function nor None.
    """
    if not isinstance(layer.name, str):
        raise InputError(f"layer {layer.name!r}: the first argument is the layer's name, such as 'conv1'")
    for field in dataclasses.fields(layer):
        value = getattr(layer, field.name, None)
        wanted = _wanted(field, value)
        if wanted:
            raise InputError(f"layer {layer.name}: {field.name} {value!r} is not possible; it must be {wanted}")


def _wanted(field: "dataclasses.Field[Any]", value: Any) -> str:
    """Returns what the value of a field must be, "" if it is."""
    if field.type in (int, "int"):
        minimum = MINIMA.get(field.name)
        integer = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not integer or (minimum is not None and value < minimum):
            return "a whole number" + ("" if minimum is None else f" from {minimum} on")
    if field.name == "rate" and not (isinstance(value, numbers.Real) and 0 <= float(value) < 1):
        return "a number of 0 or more and below 1"
    if field.name == "activation" and not (value is None or callable(value)):
        return "a function, such as estimator_mnist.layers.relu, or None"
    return ""
