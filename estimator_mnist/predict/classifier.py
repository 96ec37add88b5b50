"""The trained network of a model_dir as a function."""

from pathlib import Path
from typing import Tuple

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model import cpu_parallelism, serving_signatures
from estimator_mnist.model_dir import checkpoints, saved_models
from estimator_mnist.predict.answer import Classifier
from estimator_mnist.training import run_config
from input_fns import InputError
from input_fns.errors import reason

SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY


def load(model_dir: Path, experiment: Experiment) -> Classifier:
    """Returns the exported model as a function or, if none is exported, the newest complete checkpoint.

    The function maps images, uint8 [n, height, width], light on dark, to probabilities, float32 [n, classes].

    Raises:
        InputError: There is neither, or it is corrupt, or not the experiment's.
    """
    experiment = cpu_parallelism.threads_within_ops(experiment)
    versions = saved_models.versions(model_dir / saved_models.FOLDER / saved_models.FINAL)
    with tf.Graph().as_default():
        session = tf.compat.v1.Session(config=run_config.session_config(experiment))
        if versions:
            images, probabilities = _saved_model(session, versions[max(versions)])
        else:
            images, probabilities = _checkpoint(session, model_dir, experiment)
        call = session.make_callable(probabilities, [images])
    _check_fits(call, model_dir, experiment)
    return lambda batch: call(batch.astype(np.float32) / 255)


def _check_fits(call: Classifier, model_dir: Path, experiment: Experiment) -> None:
    """Raises InputError if a function has other images or classes than experiment.json, which a user may have edited.

    Classifies a black image: the signature of a SavedModel leaves the shape of images open.
    """
    height, width, _channels = experiment.image_shape
    try:
        fits = call(np.zeros([1, height, width], np.float32)).shape == (1, experiment.classes)
    except tf.errors.InvalidArgumentError:
        fits = False
    if not fits:
        expected = f"{height}x{width} images and {experiment.classes} classes"
        raise InputError(f"--model_dir {model_dir}: its network is not for the {expected} of its experiment.json")


def _saved_model(session: tf.compat.v1.Session, folder: Path) -> Tuple[tf.Tensor, tf.Tensor]:
    """Loads a SavedModel into the session's graph and returns its input and its probabilities."""
    try:
        loaded = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(folder))
        signature, graph = loaded.signature_def[SIGNATURE], session.graph
        return (
            graph.get_tensor_by_name(signature.inputs[serving_signatures.IMAGE].name),
            graph.get_tensor_by_name(signature.outputs["probabilities"].name),
        )
    except Exception as error:  # its class depends on which file is corrupt
        raise InputError(
            f"{folder}: cannot be loaded ({reason(error)}); remove it, or export the model again"
        ) from error


def _checkpoint(session: tf.compat.v1.Session, model_dir: Path, experiment: Experiment) -> Tuple[tf.Tensor, tf.Tensor]:
    """Builds the network with a checkpoint's weights in the session's graph; returns what `_saved_model` returns."""
    checkpoint = checkpoints.checked(experiment, model_dir, None)
    network = create_network(experiment)
    network.build(experiment.seed)
    network.restore(session, checkpoint)
    images = tf.compat.v1.placeholder(tf.float32, [None, *experiment.image_shape[:2]])
    return images, tf.nn.softmax(network(images))
