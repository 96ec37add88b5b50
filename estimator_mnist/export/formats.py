"""The export formats: how each is written. `runtimes` runs them."""

import contextlib
import functools
import json
import logging
import re
from pathlib import Path
from typing import Any, Callable, Iterator, NamedTuple

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.export import keras_layers, runtimes
from estimator_mnist.model import serving_signatures
from estimator_mnist.system import terminal
from estimator_mnist.system.errors import RunError
from input_fns.errors import reason

ONNX_OPSET = 18
# How converters name the ops that they lack: TFLite's in a list far down or only as the place where it failed.
MISSING_OPS = (r"(?:Flex|Custom) ops: ([\w, ]+)", r'error: loc\(.*?fused\["(\w+):', r"No Op registered for (\w+)")
INT8_LOSS = 0.001  # the most accuracy that int8 may cost
INT8_IMAGES = 3  # int8 may always cost these: of a small split, INT8_LOSS is a fraction of an image


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
    """Writes TFLite in float32.

    Raises:
        RunError: TFLite lacks an op of the network.
    """
    with _conversion("tflite"):
        content = _converter(source).convert()
    path.write_bytes(content)


def tflite_int8(source: Source, path: Path) -> None:
    """Writes TFLite that computes in int8 throughout. Inputs and outputs are float32, as in the other formats.

    Raises:
        RunError: TFLite lacks an op of the network in int8.
    """
    converter = _converter(source)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: (
        ("predict", {serving_signatures.IMAGE: image[np.newaxis]}) for image in source.calibration
    )
    with _conversion("tflite_int8"):
        content = converter.convert()
    path.write_bytes(content)


def _converter(source: Source) -> Any:
    return tf.lite.TFLiteConverter.from_saved_model(str(source.plain), signature_keys=["predict"])


@contextlib.contextmanager
def _conversion(name: str) -> Iterator[None]:
    """A context for a converter, silenced: it reports at length on each op.

    Raises:
        RunError: The converter failed, most likely at an op of a user's layer that the format does not have.
    """
    try:
        with terminal.silent():
            yield
    except (OSError, MemoryError):
        raise
    except Exception as error:
        text = str(error)
        ops = next(filter(None, (re.findall(pattern, text) for pattern in MISSING_OPS)), [])
        why = f"no translation of {', '.join(dict.fromkeys(map(str.strip, ops)))}" if ops else reason(error)
        raise RunError(f"--formats {name}: this network cannot be converted ({why})") from error


def onnx(source: Source, path: Path) -> None:
    """Writes ONNX, by tf2onnx.

    Raises:
        RunError: tf2onnx is not installed, or cannot convert the network.
    """
    try:
        import onnx as onnx_library
        from tf2onnx import convert
    except ImportError as error:  # not installed on Python 3.9
        raise RunError(f"--formats onnx: needs tf2onnx, and that Python 3.10 or 3.11 ({error})") from error
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    signature = tf.saved_model.load(str(source.plain)).signatures["predict"]
    image = tf.TensorSpec([None, *source.experiment.image_shape], tf.float32, name=serving_signatures.IMAGE)
    with _conversion("onnx"):
        model, _ = convert.from_function(
            tf.function(lambda image: signature(image=image)), input_signature=[image], opset=ONNX_OPSET
        )
        onnx_library.checker.check_model(model)  # tf2onnx keeps ops that ONNX does not have
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
