"""Trainable arrays and their slots. Different cores can work on partitions of one. A checkpoint holds no partitions."""

from typing import Callable, List, NamedTuple, Tuple

import tensorflow as tf

Shape = Tuple[int, ...]


class Parameter(NamedTuple):
    """A float32 array of a network, or a slot of one."""

    name: str
    shape: Shape
    parts: List[tf.Variable]  # its partitions, in their order along `axis`; mostly one, the array itself
    axis: int


def create(
    name: str,
    shape: Shape,
    initial: Callable[[], tf.Tensor],
    parts: int = 1,
    axis: int = 0,
    trainable: bool = True,
) -> Parameter:
    """Creates an array in the current graph.

    Args:
        name: Its name in checkpoints, which hold one array however many partitions a graph has.
        shape: Of the unpartitioned array.
        initial: Computes the first value of the unpartitioned array, float32.
        parts: The number of partitions, each a variable.
        axis: The axis that they divide.
        trainable: Whether the graph lists it among its trainable variables.
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
