"""What a SavedModel is served with: its inputs, its warm-up requests, and its numbered version among others."""

import io
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional

import numpy as np
import tensorflow as tf

from estimator_mnist.layers.network import IMAGE_SHAPE
from estimator_mnist.system.paths import copy_tree, is_remote, rmtree

IMAGE, IMAGE_BYTES = "image", "image_bytes"  # the names of the inputs
ENCODED = "encoded"  # before a signature's name, as in "encoded:predict": the one that takes image_bytes
SAVED_MODEL = "saved_model.pb"  # what makes a version of a folder
WARMUP = "tf_serving_warmup_requests"  # the name under which TensorFlow Serving looks for them in assets.extra


def input_receiver() -> tf.estimator.export.ServingInputReceiver:
    """Returns the inputs of a SavedModel, made in the current graph.

    image: float32 [n, 28, 28] or [n, 28, 28, 1] in [0, 1], light on dark as in MNIST.
    image_bytes: string [n], each a PNG, JPEG, GIF (its first frame) or BMP of any size; the graph makes images of them.
    """
    encoded = tf.compat.v1.placeholder(tf.string, [None], IMAGE_BYTES)
    # Plain TensorFlow, without AutoGraph's reading of its source, a tenth of a second.
    decode = tf.autograph.experimental.do_not_convert(_decode)
    decoded = tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec(IMAGE_SHAPE, tf.float32))
    # Fed, it takes images, and nothing is decoded; not fed, it hands on the decoded ones. So one network serves both.
    image = tf.compat.v1.placeholder_with_default(decoded, None, IMAGE)
    with_channel = tf.reshape(image, tf.concat([tf.shape(image)[:3], [1]], axis=0))
    features = {IMAGE: tf.ensure_shape(with_channel, [None, *IMAGE_SHAPE])}
    return tf.estimator.export.ServingInputReceiver(features, {IMAGE: image}, {ENCODED: {IMAGE_BYTES: encoded}})


def plain_input_receiver() -> tf.estimator.export.ServingInputReceiver:
    """Returns the input of a SavedModel that is to be converted: image, float32 [n, 28, 28, 1] and nothing else."""
    image = tf.compat.v1.placeholder(tf.float32, [None, *IMAGE_SHAPE], IMAGE)
    return tf.estimator.export.ServingInputReceiver({IMAGE: image}, {IMAGE: image})


def _decode(encoded: tf.Tensor) -> tf.Tensor:
    """Returns an encoded image as float32 [28, 28, 1] in [0, 1]: grey by ITU-R BT.601, transparency left out, the
    whole of it scaled to 28x28 (bilinear, antialiased), and neither cut, centred nor inverted."""
    image = tf.cast(tf.io.decode_image(encoded, expand_animations=False), tf.float32)
    # One channel is grey, two are grey and alpha, three colour, four colour and alpha.
    grey = tf.cond(tf.shape(image)[2] < 3, lambda: image[..., :1], lambda: tf.image.rgb_to_grayscale(image[..., :3]))
    return tf.image.resize(grey, IMAGE_SHAPE[:2], antialias=True) / 255.0


def write_warmup(path: Path, model_name: str) -> None:
    """Writes a request for each signature, which TensorFlow Serving makes before it calls a version ready.

    Args:
        path: A file of TFRecords, each a PredictionLog.
        model_name: What the requests call the model; TensorFlow Serving does not ask for it to match.
    """
    from PIL import Image
    from tensorflow_serving.apis import prediction_log_pb2

    png = io.BytesIO()
    Image.fromarray(np.zeros(IMAGE_SHAPE[:2], np.uint8)).save(png, "PNG")
    image = np.zeros((1, *IMAGE_SHAPE[:2]), np.float32)
    inputs: Dict[str, Dict[str, Any]] = {"": {IMAGE: image}, f"{ENCODED}:": {IMAGE_BYTES: [png.getvalue()]}}
    with tf.io.TFRecordWriter(str(path)) as writer:
        for prefix, values in inputs.items():
            for signature in (tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY, "classify", "predict"):
                log = prediction_log_pb2.PredictionLog()
                request = log.predict_log.request
                request.model_spec.name, request.model_spec.signature_name = model_name, prefix + signature
                for name, value in values.items():
                    request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
                writer.write(log.SerializeToString())


def versions(folder: Path) -> Dict[int, Path]:
    """Returns the versions in a model folder by their numbers, increasing; what is still being written is none."""
    found = {int(path.name): path for path in folder.glob("*") if path.name.isdigit() and path.is_dir()}
    return dict(sorted(found.items()))


def version_of(folder: Path, step: int) -> Optional[Path]:
    """Returns the newest whole version in a model folder that holds the weights of a step, None if there is none."""
    for version in reversed(list(versions(folder).values())):
        try:
            reader = tf.compat.v1.train.NewCheckpointReader(str(version / "variables" / "variables"))
            values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
        except Exception:  # of many classes, by what is damaged
            continue
        if values.get("global_step") == step and (version / SAVED_MODEL).is_file():
            return version
    return None


def next_version(folder: Path) -> Path:
    """Returns where the next version goes: named by the time in seconds, and later than all that are there."""
    return folder / str(max([int(time.time()), *(number + 1 for number in versions(folder))]))


def put_version(source: Path, folder: Path) -> Path:
    """Copies a version to another model folder, where it appears whole or not at all, and returns its path there.

    In a remote folder, where no file system renames folders in one go, the file that makes a version of it comes last.
    """
    new, version = folder / f"temp-{source.name}", folder / source.name
    folder.mkdir(parents=True, exist_ok=True)
    if is_remote(folder):
        for other in versions(folder).values():
            if not (other / SAVED_MODEL).is_file():  # a kill left it
                rmtree(other)
        copy_tree(source, version, last=SAVED_MODEL)
        return version
    shutil.copytree(source, new)
    new.rename(version)
    return version


def export_to(folder: Path, export: Callable[[str], Any]) -> Any:
    """Returns what `export` makes in a model folder; for a remote one it is made here, and copied there."""
    if not is_remote(folder):
        return export(str(folder))
    with tempfile.TemporaryDirectory() as scratch:
        made = export(scratch)
        return made and str(put_version(Path(made.decode()), folder))
