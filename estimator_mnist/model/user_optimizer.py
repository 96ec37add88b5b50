"""A user's optimizer: a class of their file, whose updates are pure functions of one weight.

class Lion:
    slots = ("momentum",)  # arrays of the weight's shape, zero at first, saved in checkpoints

    def update(self, weight, gradient, slots, learning_rate, step):
        return new_weight, {"momentum": new_momentum}
"""

import re
from typing import Any, Dict, Optional, Sequence, Tuple

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.user_code import UserFunction

_NAME = re.compile(r"[A-Za-z0-9]\w*", re.ASCII)


def create(experiment: Experiment) -> Optional["UserOptimizer"]:
    """Returns the optimizer that --optimizer FILE.py:CLASS names, None if it names a built-in one."""
    function = experiment.user_function("optimizer")
    return UserOptimizer(function) if function else None


class UserOptimizer:
    """Calls the methods of the user's object, and checks what they return."""

    def __init__(self, function: UserFunction):
        self._function = function
        self.name = function.name
        self._optimizer = function()
        if not callable(getattr(self._optimizer, "update", None)):
            raise function.refuse("has no method update(weight, gradient, slots, learning_rate, step)")
        slots = getattr(self._optimizer, "slots", ())
        names = list(slots) if isinstance(slots, (tuple, list)) else [slots]
        if not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names) or len(set(names)) < len(names):
            raise function.refuse(f"has slots = {slots!r}; they must be a tuple of names, letters, digits and _")
        self.slots: Tuple[str, ...] = tuple(names)

    def update(
        self, variable: tf.Variable, slots: Sequence[tf.Variable], gradient: tf.Tensor, scalars: Sequence[tf.Tensor]
    ) -> tf.Operation:
        """Returns the op that updates a variable and its slots.

        Args:
            variable: float32.
            slots: Of the variable, in the order of `slots`.
            gradient: float32, of its shape.
            scalars: The learning rate and the step, float32 scalars.
        """
        learning_rate, step = scalars
        # The gradient was computed from the weights of this step: read after it, they are the same in every loop.
        with tf.control_dependencies([gradient]):
            weight = variable.read_value()
            values = {name: slot.read_value() for name, slot in zip(self.slots, slots)}
        with self._function.checked():
            returned = self._optimizer.update(weight, gradient, values, learning_rate, step)
        new_weight, new_slots = self._split(returned)
        variables = [variable, *slots]
        new_values = [self._like(value, weight) for value in (new_weight, *(new_slots[name] for name in self.slots))]
        with tf.control_dependencies(new_values):  # everything is read before anything is written
            return tf.group(
                *(
                    tf.raw_ops.AssignVariableOp(resource=target.handle, value=new)
                    for target, new in zip(variables, new_values)
                )
            )

    def _split(self, returned: Any) -> Tuple[Any, Dict[str, Any]]:
        pair = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, {})
        if not isinstance(pair[1], dict) or set(pair[1]) != set(self.slots):
            raise self._function.refuse(f"update must return (new weight, values of its slots: {list(self.slots)})")
        return pair

    def _like(self, value: Any, weight: tf.Tensor) -> tf.Tensor:
        with self._function.checked():
            value = tf.convert_to_tensor(value)
        if value.dtype != tf.float32 or not value.shape.is_compatible_with(weight.shape):
            wrong = f"{value.dtype.name} of shape {value.shape}"
            raise self._function.refuse(f"update returned {wrong}; it must be float32 of shape {weight.shape}")
        return value
