"""The formats in which a trained network leaves: how each is written. How each is run stands in runtimes.py."""

import functools
import json
import logging
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.export import runtimes
from estimator_mnist.layers import BatchNorm, Conv2D, Dense, Dropout, Flatten, Layer, Pad2D, Pool2D, scaled_tanh
from estimator_mnist.layers.activations import ActivationFunction
from estimator_mnist.layers.normalization import EPSILON
from estimator_mnist.model import serving_signatures
from estimator_mnist.system import terminal
from estimator_mnist.system.errors import RunError

ONNX_OPSET = 18
INT8_LOSS = 0.001  # of accuracy, that int8 may cost at most


class Source(NamedTuple):
    """What a format is written from."""

    experiment: Experiment
    estimator: tf.estimator.Estimator
    checkpoint: str  # path prefix
    plain: Path  # a SavedModel of it with the input image [n, 28, 28, 1] alone, to convert from
    calibration: np.ndarray  # training images, float32 [n, 28, 28, 1]


class Format(NamedTuple):
    file: str  # in model_dir/export; for saved_model a folder of versions
    write: Callable[[Source, Path], None]
    run: Callable[[Path, np.ndarray, int], runtimes.Outcome]
    exact: bool = True  # gives every image the class that the Estimator gives


def saved_model(source: Source, path: Path) -> None:
    """Writes a version of a SavedModel with all its signatures and warm-up requests; `path` must be a new folder."""
    warmup = path.with_name(serving_signatures.WARMUP)
    serving_signatures.write_warmup(warmup, source.experiment.model, source.experiment.image_shape)
    made = source.estimator.export_saved_model(
        str(path.with_name("versions")),
        functools.partial(serving_signatures.input_receiver, source.experiment.image_shape),
        assets_extra={serving_signatures.WARMUP: str(warmup)},
        checkpoint_path=source.checkpoint,
    )
    Path(made.decode()).rename(path)


def tflite(source: Source, path: Path) -> None:
    """Writes TFLite in float32."""
    _write_tflite(tf.lite.TFLiteConverter.from_saved_model(str(source.plain), signature_keys=["predict"]), path)


def tflite_int8(source: Source, path: Path) -> None:
    """Writes TFLite that computes in int8 throughout; what goes in and comes out is float32 as in the others."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(source.plain), signature_keys=["predict"])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: (
        ("predict", {serving_signatures.IMAGE: image[np.newaxis]}) for image in source.calibration
    )
    _write_tflite(converter, path)


def _write_tflite(converter: Any, path: Path) -> None:
    with terminal.silent():  # it tells at length of each op
        content = converter.convert()
    path.write_bytes(content)


def onnx(source: Source, path: Path) -> None:
    """Writes ONNX, by tf2onnx."""
    try:
        from tf2onnx import convert
    except ImportError as error:  # not installed on Python 3.9
        raise RunError(f"--formats onnx: needs tf2onnx, and that Python 3.10 or 3.11 ({error})") from error
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    signature = tf.saved_model.load(str(source.plain)).signatures["predict"]
    image = tf.TensorSpec([None, *source.experiment.image_shape], tf.float32, name=serving_signatures.IMAGE)
    with terminal.silent():
        model, _ = convert.from_function(
            tf.function(lambda image: signature(image=image)), input_signature=[image], opset=ONNX_OPSET
        )
    path.write_bytes(model.SerializeToString())


def keras(source: Source, path: Path) -> None:
    """Writes a .keras file of Keras's own layers, images to logits; by Keras 3 itself, in its environment."""
    layers, weights = path.with_name("layers.json"), path.with_name("weights.npz")
    network, reader = create_network(source.experiment), tf.compat.v1.train.NewCheckpointReader(source.checkpoint)
    layers.write_text(json.dumps([part for layer in network.layers for part in _keras_layers(layer)]))
    np.savez(weights, **{name: reader.get_tensor(name) for name in network.weight_shapes()})
    runtimes.in_keras_3("write", layers, weights, path)


def _keras_layers(layer: Layer) -> List[Tuple[str, Dict[str, Any]]]:
    """Returns a layer as those of Keras that do the same: the name of the class and its arguments."""
    if isinstance(layer, Dense):
        return [("Dense", {"name": layer.name, "units": layer.units}), *_keras_activation(layer, layer.activation)]
    if isinstance(layer, Conv2D):
        settings = {"filters": layer.filters, "kernel_size": layer.size, "strides": layer.strides}
        conv = {"name": layer.name, **settings, "padding": layer.padding.lower(), "use_bias": layer.bias}
        return [("Conv2D", conv), *_keras_activation(layer, layer.activation)]
    if isinstance(layer, Pool2D):
        return [("MaxPooling2D" if layer.kind == "max" else "AveragePooling2D", {"name": layer.name, "pool_size": 2})]
    if isinstance(layer, Pad2D):
        return [("ZeroPadding2D", {"name": layer.name, "padding": layer.margin})]
    if isinstance(layer, BatchNorm):
        norm = {"name": layer.name, "epsilon": EPSILON}
        return [("BatchNormalization", norm), *_keras_activation(layer, layer.activation)]
    if isinstance(layer, Dropout):
        return [("Dropout", {"name": layer.name, "rate": layer.rate})]
    if not isinstance(layer, Flatten):
        raise RunError(f"--formats keras: Keras has no layer like {layer.name} of this network")
    return [("Flatten", {"name": layer.name})]


def _keras_activation(layer: Layer, activation: Optional[ActivationFunction]) -> List[Tuple[str, Dict[str, Any]]]:
    if activation is None:
        return []
    if activation is tf.nn.relu:
        return [("ReLU", {"name": f"{layer.name}_relu"})]
    assert activation is scaled_tanh, activation
    # In three layers, so that the file needs no code of this project to be loaded.
    return [
        ("Rescaling", {"name": f"{layer.name}_scale_in", "scale": 2.0 / 3.0}),
        ("Activation", {"name": f"{layer.name}_tanh", "activation": "tanh"}),
        ("Rescaling", {"name": f"{layer.name}_scale_out", "scale": 1.7159}),
    ]


FORMATS = {
    "saved_model": Format("", saved_model, runtimes.saved_model),
    "tflite": Format("tflite/model.tflite", tflite, runtimes.tflite),
    "tflite_int8": Format("tflite/model_int8.tflite", tflite_int8, runtimes.tflite, exact=False),
    "onnx": Format("onnx/model.onnx", onnx, runtimes.onnx),
    "keras": Format("keras/model.keras", keras, runtimes.keras),
}
