"""The networks: images to logits, nothing more. They know no mode, no loss and no optimizer."""

import zlib
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import tensorflow as tf

from estimator_mnist.layers import variables as parameters
from estimator_mnist.layers.base import Layer, Parts, Weight
from estimator_mnist.layers.dropout import Dropout, DropoutMasks
from estimator_mnist.layers.normalization import BatchNorm, Statistics
from estimator_mnist.layers.variables import Parameter, Shape


def scaled(images: tf.Tensor) -> tf.Tensor:
    """Returns images as the networks take them, float32 in [0, 1], from uint8 ones of 0 to 255 or float ones of 0 to 1.

    Images travel as bytes: a quarter of the memory, and the cast costs least where it is made last.
    """
    return tf.cast(images, tf.float32) / 255.0 if images.dtype == tf.uint8 else images


class Row(NamedTuple):
    """A layer in the table of a network."""

    layer: str
    output_shape: Shape
    parameters: int


class Network:
    """A sequence of layers. `build` makes its variables in the current graph; then it can be called repeatedly."""

    def __init__(self, layers: List[Layer], image_shape: Shape):
        """
        Args:
            layers: With names of which no two are equal.
            image_shape: Height, width and channels of the images.
        """
        self.layers = layers
        self.image_shape = image_shape
        self.variables: Dict[Tuple[str, str], Parameter] = {}  # by (layer, weight)

    def table(self) -> List[Row]:
        """Returns a row for each layer that does something."""
        rows, shape = [], self.image_shape
        for layer in self.layers:
            weights = layer.weights(shape)
            shape = layer.output_shape(shape)
            if not (isinstance(layer, Dropout) and not layer.rate):
                trained = [weight.shape for weight in weights.values() if weight.trained]
                parameters = sum(tf.TensorShape(shape).num_elements() for shape in trained)
                rows.append(Row(layer.name, shape, parameters))
        return rows

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(row.parameters for row in self.table())

    def weight_shapes(self) -> Dict[str, Shape]:
        """Returns the shape of each variable, by its name."""
        return {f"{layer.name}/{name}": weight.shape for layer, name, weight in self.weights()}

    def build(self, seed: int, suffix: str = "") -> None:
        """Makes the parameters, "layer/weight" and a suffix, each a function of its name without that and the seed."""
        self.variables = {}
        for layer, name, weight in self.weights():
            full_name = f"{layer.name}/{name}"
            key = [seed, zlib.crc32(full_name.encode())]

            def initial(weight: Weight = weight, key: List[int] = key) -> tf.Tensor:
                if not weight.limit:
                    return tf.fill(weight.shape, weight.start)
                numbers = tf.constant(key, tf.int64)
                if isinstance(weight.limit, tuple):
                    return weight.limit * tf.random.stateless_uniform(weight.shape, numbers, -1.0, 1.0, alg="philox")
                return tf.random.stateless_uniform(weight.shape, numbers, -weight.limit, weight.limit, alg="philox")

            self.variables[layer.name, name] = parameters.create(
                full_name + suffix, weight.shape, initial, weight.parts, weight.axis
            )

    def trained(self) -> List[Tuple[str, str]]:
        """Returns the keys of those variables that gradients train."""
        return [(layer.name, name) for layer, name, weight in self.weights() if weight.trained]

    def read(self) -> Dict[Tuple[str, str], Parts]:
        """Returns the value of each parameter at this point of the graph, in its parts."""
        return {key: [part.read_value() for part in parameter.parts] for key, parameter in self.variables.items()}

    def restore(self, session: tf.compat.v1.Session, checkpoint: str) -> None:
        """Gives the parameters, which `build` has made, the values of a checkpoint, named by its path prefix."""
        parts = [part for parameter in self.variables.values() for part in parameter.parts]
        tf.compat.v1.train.Saver(parts).restore(session, checkpoint)

    def weights(self) -> Iterator[Tuple[Layer, str, Weight]]:
        """Yields each trainable array with its layer and its name in it."""
        shape = self.image_shape
        for layer in self.layers:
            for name, weight in layer.weights(shape).items():
                yield layer, name, weight
            shape = layer.output_shape(shape)

    def dropout_masks(
        self, seed: int, first_step: tf.Tensor, steps: tf.Tensor, batch_size: int
    ) -> Dict[str, DropoutMasks]:
        """Returns the masks of each dropout layer that drops anything, by its name; see `Dropout.masks`."""
        found, shape = {}, self.image_shape
        for layer in self.layers:
            if isinstance(layer, Dropout) and layer.rate:
                found[layer.name] = layer.masks(shape, seed, first_step, steps, batch_size)
            shape = layer.output_shape(shape)
        return found

    def __call__(
        self,
        images: tf.Tensor,
        masks: Optional[Dict[str, tf.Tensor]] = None,
        values: Optional[Dict[Tuple[str, str], Parts]] = None,
        statistics: Optional[Statistics] = None,
    ) -> tf.Tensor:
        """Computes logits, float32 [batch, classes]; arguments as of `outputs`."""
        (logits,) = self.outputs(images, masks, values, statistics)[-1]
        return logits

    def outputs(
        self,
        images: tf.Tensor,
        masks: Optional[Dict[str, tf.Tensor]] = None,
        values: Optional[Dict[Tuple[str, str], Parts]] = None,
        statistics: Optional[Statistics] = None,
    ) -> List[Parts]:
        """Computes all layers.

        Args:
            images: float32 [batch, 28, 28, 1] or [batch, 28, 28] in [0, 1].
            masks: Of each dropout layer for this batch, by its name, when training; None switches dropout off.
            values: The parts of each parameter, where the caller has read them already.
            statistics: Takes up those of the batch that normalisations go by when training; None lets them go by
                their moving ones.

        Returns:
            The output of each layer in its parts, float32 [batch, ...]; the last are the logits, in one part.
        """
        values = values or {key: list(parameter.parts) for key, parameter in self.variables.items()}
        x, outputs = [tf.reshape(images, [-1, *self.image_shape])], []
        for layer in self.layers:
            weights = {name: value for (owner, name), value in values.items() if owner == layer.name}
            with tf.name_scope(layer.name):
                if isinstance(layer, BatchNorm) and statistics is not None:
                    y, of_batch = layer.train(x[0], {name: value for name, (value,) in weights.items()})
                    x = [y]
                    statistics.update(of_batch)
                else:
                    x = layer(x, weights, (masks or {}).get(layer.name))
            outputs.append(x)
        return outputs
