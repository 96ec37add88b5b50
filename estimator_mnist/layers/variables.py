"""Trainable arrays and their slots, whole or in parts that different cores work on. In a checkpoint each is whole."""

from typing import Callable, List, NamedTuple, Tuple

import tensorflow as tf

Shape = Tuple[int, ...]


class Parameter(NamedTuple):
    """A float32 array of a network, or a slot of one."""

    name: str
    shape: Shape
    parts: List[tf.Variable]  # one after the other along `axis`
    axis: int


def create(
    name: str,
    shape: Shape,
    initial: Callable[[], tf.Tensor],
    parts: int = 1,
    axis: int = 0,
    trainable: bool = True,
) -> Parameter:
    """Makes an array in the current graph.

    Args:
        name: Its name in checkpoints, where it is one array, however many parts it has in a graph.
        shape: Of the unpartitioned array.
        initial: Computes the first value of the unpartitioned array, float32.
        parts: How many variables hold it.
        axis: Along which they divide it.
        trainable: Whether the graph lists it as such.
    """
    if parts == 1:
        variable = tf.compat.v1.get_variable(name, initializer=initial, trainable=trainable, use_resource=True)
        return Parameter(name, shape, [variable], axis)

    def initial_part(shape, dtype=tf.float32, partition_info=None):
        return tf.slice(initial(), partition_info.var_offset, shape)

    partitioner = tf.compat.v1.fixed_size_partitioner(parts, axis)
    partitions = tf.compat.v1.get_variable(
        name, shape, initializer=initial_part, partitioner=partitioner, trainable=trainable, use_resource=True
    )
    return Parameter(name, shape, list(partitions), axis)
