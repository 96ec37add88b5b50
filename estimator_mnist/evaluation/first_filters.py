"""The weights of a network's first convolution or dense layer, as images."""

import math
from typing import NamedTuple, Optional

import numpy as np
import tensorflow as tf

from estimator_mnist.layers import DepthwiseConv2D, Layer
from estimator_mnist.layers.network import Network
from estimator_mnist.layers.variables import Shape

KERNEL = "kernel"  # the name of the weights that layers multiply their inputs by


class _Kernel(NamedTuple):
    layer: Layer
    image: Shape  # the layer's input as an image: height, width, channels


def read(network: Network, checkpoint: str) -> Optional[np.ndarray]:
    """Returns the first kernel of a network as images.

    Args:
        network: Any network. Its first layers may have no kernel: a normalisation, say.
        checkpoint: Path prefix of a checkpoint of it.

    Returns:
        float32 [height, width, filters], or [height, width, 3, filters] where the layer takes colours; None if no
        layer has a kernel. A layer that takes neither 1 nor 3 channels is shown by its first one.
    """
    kernel = _first(network)
    if kernel is None:
        return None
    values = tf.compat.v1.train.NewCheckpointReader(checkpoint).get_tensor(f"{kernel.layer.name}/{KERNEL}")
    return as_images(values, kernel.image, isinstance(kernel.layer, DepthwiseConv2D))


def as_images(values: np.ndarray, image: Shape, depthwise: bool = False) -> np.ndarray:
    """Returns a kernel as images, of the shape that `read` returns.

    Args:
        values: float32 [height, width, channels, filters] of a convolution, [inputs, units] of a dense layer, or
            [height, width, filters].
        image: Height, width and channels of the layer's input.
        depthwise: Whether each filter takes one channel only, as in a DepthwiseConv2D.
    """
    if values.ndim == 3:
        return values
    if values.ndim == 2:
        values = values.reshape(*image, -1)
    elif depthwise:
        return values.reshape(*values.shape[:2], -1)
    return values if values.shape[2] == 3 else values[:, :, 0, :]


def _first(network: Network) -> Optional[_Kernel]:
    image = network.image_shape
    for layer, shape in network.walk():
        image = shape if len(shape) == 3 else image
        weight = layer.weights(shape).get(KERNEL)
        if weight is None or len(weight.shape) not in (2, 3, 4):
            continue
        if len(weight.shape) == 2 and weight.shape[0] != math.prod(image):
            return _Kernel(layer, (1, weight.shape[0], 1))  # its inputs are no image: they are shown in a row
        return _Kernel(layer, image)
    return None
