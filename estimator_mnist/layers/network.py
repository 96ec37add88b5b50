"""The networks: images to logits, nothing more. They know no mode, no loss and no optimizer."""

import zlib
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

import tensorflow as tf

from estimator_mnist.architectures.lenet5_1998 import network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers import variables as parameters
from estimator_mnist.layers.batch_norm import BatchNorm, Statistics
from estimator_mnist.layers.layers import (
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    Layer,
    Noise,
    Pad2D,
    Parts,
    Pool2D,
    Weight,
    scaled_tanh,
)
from estimator_mnist.layers.variables import Parameter, Shape

IMAGE_SHAPE: Shape = (28, 28, 1)


def create(experiment: Experiment, parts: int = 1) -> "Network":
    """Returns the network of an experiment, without its variables.

    Args:
        experiment: Names the network.
        parts: Into so many parts the hidden layer of "dense" is divided; the others have none.
    """
    if experiment.model == "dense":
        return Network(_dense(experiment, parts))
    if experiment.lenet5_form == "1998":
        return Network(network.layers(experiment.classes))
    layers = {"conv": _conv, "conv_plain": _conv_plain, "lenet5": _lenet5}[experiment.model]
    return Network(layers(experiment))


def _dense(experiment: Experiment, parts: int) -> List[Layer]:
    return [
        Flatten("flatten"),
        Dense("dense1", 128, tf.nn.relu, parts=parts),
        Dropout("dropout", experiment.dropout_rate),
        Dense("logits", experiment.classes, input_parts=parts),
    ]


def _conv(experiment: Experiment) -> List[Layer]:
    none: List[List[Layer]] = [[], []]
    strides, pools = (2, none) if experiment.downsample == "stride" else (1, [[Pool2D("pool1")], [Pool2D("pool2")]])
    activation, norms = tf.nn.relu, none
    if experiment.batch_norm:  # behind the pooling, which leaves a quarter of the values to do it on
        activation, norms = None, [[BatchNorm("norm1", tf.nn.relu)], [BatchNorm("norm2", tf.nn.relu)]]
    return [
        Conv2D("conv1", 64, 5, activation, strides=strides, bias=not experiment.batch_norm),
        *pools[0],
        *norms[0],
        Conv2D("conv2", 96, 3, activation, strides=strides, bias=not experiment.batch_norm),
        *pools[1],
        *norms[1],
        Flatten("flatten"),
        Dense("dense1", 128, tf.nn.relu),
        Dropout("dropout", experiment.dropout_rate),
        Dense("logits", experiment.classes),
    ]


def _conv_plain(experiment: Experiment) -> List[Layer]:
    return [
        Conv2D("conv1", 64, 5, tf.nn.relu),
        Conv2D("conv2", 64, 5, tf.nn.relu),
        Flatten("flatten"),
        Dense("dense1", 128, tf.nn.relu),
        Dropout("dropout", experiment.dropout_rate),
        Dense("logits", experiment.classes),
    ]


def _lenet5(experiment: Experiment) -> List[Layer]:
    """The layers of LeCun et al. 1998, section II.B, by their names there, in the form common today: C3 sees all maps
    of S2, subsampling has no weights, and the output is dense. The paper's own stand in `lenet5_1998`."""
    return [
        Pad2D("pad", 2),
        Conv2D("c1", 6, 5, scaled_tanh),
        Pool2D("s2", "average"),
        Conv2D("c3", 16, 5, scaled_tanh),
        Pool2D("s4", "average"),
        Conv2D("c5", 120, 5, scaled_tanh),
        Flatten("flatten"),
        Dense("f6", 84, scaled_tanh),
        Dropout("dropout", experiment.dropout_rate),
        Dense("logits", experiment.classes),
    ]


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

    def __init__(self, layers: List[Layer]):
        self.layers = layers
        self.variables: Dict[Tuple[str, str], Parameter] = {}  # by (layer, weight)

    def table(self) -> List[Row]:
        """Returns a row for each layer that does something."""
        rows, shape = [], IMAGE_SHAPE
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

    def restore(self, session: tf.compat.v1.Session, checkpoint: str) -> None:
        """Gives the parameters, which `build` has made, the values of a checkpoint, named by its path prefix."""
        parts = [part for parameter in self.variables.values() for part in parameter.parts]
        tf.compat.v1.train.Saver(parts).restore(session, checkpoint)

    def weights(self) -> Iterator[Tuple[Layer, str, Weight]]:
        """Yields each trainable array with its layer and its name in it."""
        shape = IMAGE_SHAPE
        for layer in self.layers:
            for name, weight in layer.weights(shape).items():
                yield layer, name, weight
            shape = layer.output_shape(shape)

    def noise(self, seed: int, first_step: tf.Tensor, steps: tf.Tensor, batch_size: int) -> Dict[str, Noise]:
        """Returns the noise of each dropout layer that drops anything, by its name; see `Dropout.noise`."""
        found, shape = {}, IMAGE_SHAPE
        for layer in self.layers:
            if isinstance(layer, Dropout) and layer.rate:
                found[layer.name] = layer.noise(shape, seed, first_step, steps, batch_size)
            shape = layer.output_shape(shape)
        return found

    def __call__(
        self,
        images: tf.Tensor,
        noise: Optional[Dict[str, tf.Tensor]] = None,
        values: Optional[Dict[Tuple[str, str], Parts]] = None,
        statistics: Optional[Statistics] = None,
    ) -> tf.Tensor:
        """Computes logits, float32 [batch, classes]; arguments as of `outputs`."""
        (logits,) = self.outputs(images, noise, values, statistics)[-1]
        return logits

    def outputs(
        self,
        images: tf.Tensor,
        noise: Optional[Dict[str, tf.Tensor]] = None,
        values: Optional[Dict[Tuple[str, str], Parts]] = None,
        statistics: Optional[Statistics] = None,
    ) -> List[Parts]:
        """Computes all layers.

        Args:
            images: float32 [batch, 28, 28, 1] or [batch, 28, 28] in [0, 1].
            noise: What each dropout layer multiplies this batch with, by its name, when training; None switches
                dropout off.
            values: The parts of each parameter, where the caller has read them already.
            statistics: Takes up those of the batch that normalisations go by when training; None lets them go by
                their moving ones.

        Returns:
            The output of each layer in its parts, float32 [batch, ...]; the last are the logits, in one part.
        """
        values = values or {key: list(parameter.parts) for key, parameter in self.variables.items()}
        x, outputs = [tf.reshape(images, [-1, *IMAGE_SHAPE])], []
        for layer in self.layers:
            weights = {name: value for (owner, name), value in values.items() if owner == layer.name}
            with tf.name_scope(layer.name):
                if isinstance(layer, BatchNorm) and statistics is not None:
                    y, of_batch = layer.train(x[0], {name: value for name, (value,) in weights.items()})
                    x = [y]
                    statistics.update(of_batch)
                else:
                    x = layer(x, weights, (noise or {}).get(layer.name))
            outputs.append(x)
        return outputs
