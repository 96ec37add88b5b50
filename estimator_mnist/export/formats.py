"""The export formats: how each is written. `runtimes` runs them."""

import functools
import json
import logging
from pathlib import Path
from typing import Any, Callable, NamedTuple

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.export import keras_layers, runtimes
from estimator_mnist.model import serving_signatures
from estimator_mnist.system import terminal
from estimator_mnist.system.errors import RunError

ONNX_OPSET = 18
INT8_LOSS = 0.001  # the most accuracy that int8 may cost


class Source(NamedTuple):
    """What a format is written from."""

    experiment: Experiment
    estimator: tf.estimator.Estimator
    checkpoint: str  # path prefix
    plain: Path  # a SavedModel of it to convert from; its only input is the image, [n, height, width, channels]
    calibration: np.ndarray  # training images, float32 [n, height, width, channels]


class Format(NamedTuple):
    """A format, and how it is written and run."""

    file: str  # in model_dir/export; empty for saved_model, which is a folder of versions
    write: Callable[[Source, Path], None]  # to a path
    run: Callable[[Path, np.ndarray, int], runtimes.Outcome]  # the path, images and batch size
    exact: bool = True  # whether it must give every image the class that the Estimator gives


def saved_model(source: Source, path: Path) -> None:
    """Writes a version of a SavedModel with all its signatures and warm-up requests; `path` must be a new folder."""
    warmup = path.with_name(serving_signatures.WARMUP)
    serving_signatures.write_warmup(warmup, source.experiment.model, source.experiment.image_shape)
    version = source.estimator.export_saved_model(
        str(path.with_name("versions")),
        functools.partial(serving_signatures.input_receiver, source.experiment.image_shape),
        assets_extra={serving_signatures.WARMUP: str(warmup)},
        checkpoint_path=source.checkpoint,
    )
    Path(version.decode()).rename(path)


def tflite(source: Source, path: Path) -> None:
    """Writes TFLite in float32."""
    _write_tflite(tf.lite.TFLiteConverter.from_saved_model(str(source.plain), signature_keys=["predict"]), path)


def tflite_int8(source: Source, path: Path) -> None:
    """Writes TFLite that computes in int8 throughout. Inputs and outputs are float32, as in the other formats."""
    converter = tf.lite.TFLiteConverter.from_saved_model(str(source.plain), signature_keys=["predict"])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: (
        ("predict", {serving_signatures.IMAGE: image[np.newaxis]}) for image in source.calibration
    )
    _write_tflite(converter, path)


def _write_tflite(converter: Any, path: Path) -> None:
    with terminal.silent():  # it reports at length on each op
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
    """Writes a .keras file of Keras's own layers, images to logits. Keras 3 itself writes it, in its environment.

    Raises:
        RunError: Keras has no such layers, or its environment cannot be made.
    """
    layers, weights = path.with_name("layers.json"), path.with_name("weights.npz")
    network, reader = create_network(source.experiment), tf.compat.v1.train.NewCheckpointReader(source.checkpoint)
    layers.write_text(json.dumps(keras_layers.tree(network)))
    np.savez(weights, **{name: reader.get_tensor(name) for name in network.weight_shapes()})
    runtimes.in_keras_3("write", layers, weights, path)


FORMATS = {
    "saved_model": Format("", saved_model, runtimes.saved_model),
    "tflite": Format("tflite/model.tflite", tflite, runtimes.tflite),
    "tflite_int8": Format("tflite/model_int8.tflite", tflite_int8, runtimes.tflite, exact=False),
    "onnx": Format("onnx/model.onnx", onnx, runtimes.onnx),
    "keras": Format("keras/model.keras", keras, runtimes.keras),
}
