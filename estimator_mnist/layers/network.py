"""The networks: images to logits, nothing more. They know no mode, no loss and no optimizer."""

import zlib
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import tensorflow as tf

from estimator_mnist.layers import structure
from estimator_mnist.layers import variables as parameters
from estimator_mnist.layers.base import Layer, Parts, Weight
from estimator_mnist.layers.branches import Branched, Chain
from estimator_mnist.layers.dropout import Dropout, DropoutMasks
from estimator_mnist.layers.normalization import BatchNorm, Statistics
from estimator_mnist.layers.variables import Parameter, Shape

Key = Tuple[str, str]  # a layer's path and the name of a weight


def scaled(images: tf.Tensor) -> tf.Tensor:
    """Returns images as the networks take them, float32 in [0, 1].

    Images travel as bytes: that takes a quarter of the memory, and the cast is cheapest at the very end.

    Args:
        images: Integers of 0 to 255, or floats of 0 to 1.
    """
    return tf.cast(images, tf.float32) / 255.0 if images.dtype.is_integer else tf.cast(images, tf.float32)


class Row(NamedTuple):
    """A layer in the table of a network."""

    layer: str  # its path
    output_shape: Shape
    parameters: int


class Network:
    """A chain of layers, some of which hold branches. `build` creates its variables; then it is a pure function."""

    def __init__(self, layers: Chain, image_shape: Shape, classes: Optional[int] = None):
        """
        Args:
            layers: Without two of the same name beside each other.
            image_shape: Height, width and channels of the images.
            classes: How many logits the layers must end in; None accepts any number.

        Raises:
            InputError: The layers do not make a network. The line names the layer and says why.
        """
        self.layers = structure.with_paths(layers)
        self.image_shape = image_shape
        self.variables: Dict[Key, Parameter] = {}
        structure.check(self.layers, image_shape, classes)

    def walk(self) -> Iterator[Tuple[Layer, Shape]]:
        """Yields each layer and the shape of its input. Branches come before the layer that merges them."""
        return structure.walk(self.layers, self.image_shape)

    def table(self) -> List[Row]:
        """Returns a row for each layer, without dropout of rate 0. Branches come before the layer that merges them."""
        rows = []
        for layer, shape in self.walk():
            if isinstance(layer, Dropout) and not layer.rate:
                continue
            trained = [weight.shape for weight in layer.weights(shape).values() if weight.trained]
            count = sum(tf.TensorShape(shape).num_elements() for shape in trained)
            rows.append(Row(layer.name, layer.output_shape(shape), count))
        return rows

    @property
    def parameters(self) -> int:
        """How many numbers are trained."""
        return sum(row.parameters for row in self.table())

    @property
    def has_statistics(self) -> bool:
        """Whether layers normalise by the statistics of a batch, and keep moving averages of these."""
        return any(not weight.trained for _, weight in self.weights())

    def weight_shapes(self) -> Dict[str, Shape]:
        """Returns the shape of each variable, by its name."""
        return {"/".join(key): weight.shape for key, weight in self.weights()}

    def build(self, seed: int, suffix: str = "") -> None:
        """Creates the variables in the current graph, named "layer/weight" and a suffix.

        The initial value of each is a function of the seed and of its name without the suffix.
        """
        self.variables = {
            key: parameters.create(
                "/".join(key) + suffix, weight.shape, _initial("/".join(key), weight, seed), weight.parts, weight.axis
            )
            for key, weight in self.weights()
        }

    def trained(self) -> List[Key]:
        """Returns the keys of those variables that gradients train."""
        return [key for key, weight in self.weights() if weight.trained]

    def read(self) -> Dict[Key, Parts]:
        """Returns the value of each parameter at this point of the graph, in its partitions."""
        return {key: [part.read_value() for part in parameter.parts] for key, parameter in self.variables.items()}

    def restore(self, session: tf.compat.v1.Session, checkpoint: str) -> None:
        """Gives the parameters, which `build` has created, the values of a checkpoint, named by its path prefix."""
        parts = [part for parameter in self.variables.values() for part in parameter.parts]
        tf.compat.v1.train.Saver(parts).restore(session, checkpoint)

    def weights(self) -> Iterator[Tuple[Key, Weight]]:
        """Yields each array, trained or not, with its key."""
        for layer, shape in self.walk():
            for name, weight in layer.weights(shape).items():
                yield (layer.name, name), weight

    def dropout_masks(
        self, seed: int, first_step: tf.Tensor, steps: tf.Tensor, batch_size: int
    ) -> Dict[str, DropoutMasks]:
        """Returns the masks of each dropout layer that drops anything, by its path; see `Dropout.masks`."""
        return {
            layer.name: layer.masks(shape, seed, first_step, steps, batch_size)
            for layer, shape in self.walk()
            if isinstance(layer, Dropout) and layer.rate
        }

    def __call__(
        self,
        images: tf.Tensor,
        masks: Optional[Dict[str, tf.Tensor]] = None,
        values: Optional[Dict[Key, Parts]] = None,
        statistics: Optional[Statistics] = None,
    ) -> tf.Tensor:
        """Computes logits, float32 [batch, classes]; arguments as of `outputs`."""
        (logits,) = self.outputs(images, masks, values, statistics)[-1]
        return logits

    def outputs(
        self,
        images: tf.Tensor,
        masks: Optional[Dict[str, tf.Tensor]] = None,
        values: Optional[Dict[Key, Parts]] = None,
        statistics: Optional[Statistics] = None,
    ) -> List[Parts]:
        """Computes all layers.

        Args:
            images: float32 in [0, 1], [batch, height, width, channels], or [batch, height, width] of one channel.
            masks: In training, the mask of each dropout layer for this batch, by its path. None switches dropout off.
            values: The partitions of each parameter, where the caller has read them already.
            statistics: In training, receives the statistics of the batch, by which normalisations then go. With None
                they go by their moving averages.

        Returns:
            The output of each layer of the chain in its partitions, float32 [batch, ...]. The last are the logits, in
            one partition.
        """
        values = values or {key: list(parameter.parts) for key, parameter in self.variables.items()}
        x = [tf.reshape(images, [-1, *self.image_shape])]
        return _outputs(self.layers, x, _Given(masks or {}, values, statistics))


class _Given(NamedTuple):
    """What a network computes with, apart from images."""

    masks: Dict[str, tf.Tensor]
    values: Dict[Key, Parts]
    statistics: Optional[Statistics]


def _outputs(chain: Chain, x: Parts, given: _Given) -> List[Parts]:
    """Computes the layers of a chain; returns the output of each."""
    outputs = []
    for layer in chain:
        with tf.name_scope(layer.name.rpartition("/")[2]):
            x = _output(layer, x, given)
        outputs.append(x)
    return outputs


def _output(layer: Layer, x: Parts, given: _Given) -> Parts:
    """Computes a layer, and its branches if it has any."""
    if isinstance(layer, Branched):
        ends = [_outputs(chain, x, given)[-1] if chain else x for chain in layer.chains]
        return [layer.merge([unpartitioned for (unpartitioned,) in ends])]
    weights = {name: value for (owner, name), value in given.values.items() if owner == layer.name}
    if isinstance(layer, BatchNorm) and given.statistics is not None:
        y, of_batch = layer.train(x[0], {name: value for name, (value,) in weights.items()})
        given.statistics.update(of_batch)
        return [y]
    return layer(x, weights, given.masks.get(layer.name))


def _initial(name: str, weight: Weight, seed: int) -> Callable[[], tf.Tensor]:
    """Returns what computes the first value of a weight."""

    def initial() -> tf.Tensor:
        if not weight.limit:
            return tf.fill(weight.shape, weight.start)
        key = tf.constant([seed, zlib.crc32(name.encode())], tf.int64)
        if isinstance(weight.limit, tuple):
            return weight.limit * tf.random.stateless_uniform(weight.shape, key, -1.0, 1.0, alg="philox")
        return tf.random.stateless_uniform(weight.shape, key, -weight.limit, weight.limit, alg="philox")

    return initial
