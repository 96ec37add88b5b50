"""What a SavedModel is served with: its inputs and its warm-up requests."""

import functools
import io
from pathlib import Path
from typing import Any, Dict

import numpy as np
import tensorflow as tf

from estimator_mnist.layers.variables import Shape

IMAGE, IMAGE_BYTES = "image", "image_bytes"  # the names of the inputs
ENCODED = "encoded"  # before a signature's name, as in "encoded:predict": the one that takes image_bytes
WARMUP = "tf_serving_warmup_requests"  # the name under which TensorFlow Serving looks for them in assets.extra


def input_receiver(image_shape: Shape) -> tf.estimator.export.ServingInputReceiver:
    """Returns the inputs of a SavedModel, made in the current graph.

    image: float32 [n, height, width, channels] in [0, 1], as the training images; [n, height, width] of one channel.
    image_bytes: string [n], each a PNG, JPEG, GIF (its first frame) or BMP of any size, decoded in the graph.
    """
    encoded = tf.compat.v1.placeholder(tf.string, [None], IMAGE_BYTES)
    # Plain TensorFlow: without AutoGraph's reading of its source, a tenth of a second.
    decode = tf.autograph.experimental.do_not_convert(functools.partial(_decode, image_shape))
    decoded = tf.map_fn(decode, encoded, fn_output_signature=tf.TensorSpec(image_shape, tf.float32))
    # Fed, it takes images and nothing is decoded; not fed, it passes the decoded images on. One network serves both.
    image = tf.compat.v1.placeholder_with_default(decoded, None, IMAGE)
    with_channel = tf.reshape(image, tf.concat([tf.shape(image)[:3], [image_shape[2]]], axis=0))
    features = {IMAGE: tf.ensure_shape(with_channel, [None, *image_shape])}
    return tf.estimator.export.ServingInputReceiver(features, {IMAGE: image}, {ENCODED: {IMAGE_BYTES: encoded}})


def plain_input_receiver(image_shape: Shape) -> tf.estimator.export.ServingInputReceiver:
    """Returns the only input of a SavedModel that is to be converted: image, float32 [n, *image_shape]."""
    image = tf.compat.v1.placeholder(tf.float32, [None, *image_shape], IMAGE)
    return tf.estimator.export.ServingInputReceiver({IMAGE: image}, {IMAGE: image})


def _decode(image_shape: Shape, encoded: tf.Tensor) -> tf.Tensor:
    """Returns an encoded image as float32 [*image_shape] in [0, 1]: RGB, or grey by ITU-R BT.601, transparency ignored,
    the whole image scaled (bilinear, antialiased), and neither cropped, centred nor inverted."""
    image = tf.cast(tf.io.decode_image(encoded, expand_animations=False), tf.float32)
    from_grey, from_rgb = tf.identity, tf.image.rgb_to_grayscale
    if image_shape[2] == 3:
        from_grey, from_rgb = tf.image.grayscale_to_rgb, tf.identity
    # One channel is grey, two are grey and alpha, three colour, four colour and alpha.
    is_grey = tf.shape(image)[2] < 3
    whole = tf.cond(is_grey, lambda: from_grey(image[..., :1]), lambda: from_rgb(image[..., :3]))
    return tf.image.resize(whole, image_shape[:2], antialias=True) / 255.0


def write_warmup(path: Path, model_name: str, image_shape: Shape) -> None:
    """Writes a request for each signature, which TensorFlow Serving makes before it calls a version ready.

    Args:
        path: A file of TFRecords, each a PredictionLog.
        model_name: What the requests call the model; TensorFlow Serving does not ask for it to match.
        image_shape: Height, width and channels of the images.
    """
    from PIL import Image
    from tensorflow_serving.apis import prediction_log_pb2

    png = io.BytesIO()
    height, width, channels = image_shape
    Image.new("L" if channels == 1 else "RGB", (width, height)).save(png, "PNG")
    image = np.zeros((1, height, width, channels), np.float32)
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
