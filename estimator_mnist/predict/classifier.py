"""The trained network of a model_dir as a function."""

from pathlib import Path
from typing import Callable, List, NamedTuple

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

SIGNATURE = "predict"  # the one with logits

# float32 [n, height, width, channels] in [0, 1] to probabilities and logits, float32 [n, classes] both.
Network = Callable[[np.ndarray], List[np.ndarray]]


def load(model_dir: Path, experiment: Experiment) -> Classifier:
    """Returns `load_network` as a function of images, uint8 [n, height, width, channels], to their probabilities.

    Raises:
        InputError: See `load_network`.
    """
    network = load_network(model_dir, experiment)
    return lambda batch: network(batch.astype(np.float32) / 255)[0]


def load_network(model_dir: Path, experiment: Experiment) -> Network:
    """Returns the exported model as a function or, if none is exported, the newest complete checkpoint.

    The function maps images, float32 [n, height, width, channels] in [0, 1], to probabilities and logits, float32
    [n, classes] both. Threads may share it.

    Raises:
        InputError: There is neither, or it is corrupt, or not the experiment's.
    """
    experiment = cpu_parallelism.threads_within_ops(experiment)
    versions = saved_models.versions(model_dir / saved_models.FOLDER / saved_models.FINAL)
    with tf.Graph().as_default():
        session = tf.compat.v1.Session(config=run_config.session_config(experiment))
        if versions:
            tensors = _saved_model(session, versions[max(versions)])
        else:
            tensors = _checkpoint(session, model_dir, experiment)
        network = session.make_callable([tensors.probabilities, tensors.logits], [tensors.images])
    _check_fits(network, model_dir, experiment)
    return network


class _Tensors(NamedTuple):
    """Input and outputs of a network in a graph."""

    images: tf.Tensor
    probabilities: tf.Tensor
    logits: tf.Tensor


def _check_fits(network: Network, model_dir: Path, experiment: Experiment) -> None:
    """Raises InputError if a network has other images or classes than experiment.json, which a user may have edited.

    Classifies a black image: the signature of a SavedModel leaves the shape of images open.
    """
    height, width, channels = experiment.image_shape
    why = ""
    try:
        fits = network(np.zeros([1, height, width, channels], np.float32))[0].shape == (1, experiment.classes)
    except tf.errors.OpError as error:  # also of a user's layer that calls Python, which no SavedModel holds
        fits, why = False, f" ({reason(error)})"
    if not fits:
        expected = f"{height}x{width}x{channels} images and {experiment.classes} classes"
        raise InputError(f"--model_dir {model_dir}: its network is not for the {expected} of its experiment.json{why}")


def _saved_model(session: tf.compat.v1.Session, folder: Path) -> _Tensors:
    """Loads a SavedModel into the session's graph."""
    try:
        loaded = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(folder))
        signature, graph = loaded.signature_def[SIGNATURE], session.graph
        outputs = [graph.get_tensor_by_name(signature.outputs[name].name) for name in ("probabilities", "logits")]
        return _Tensors(graph.get_tensor_by_name(signature.inputs[serving_signatures.IMAGE].name), *outputs)
    except Exception as error:  # its class depends on which file is corrupt
        raise InputError(
            f"{folder}: cannot be loaded ({reason(error)}); remove it, or export the model again"
        ) from error


def _checkpoint(session: tf.compat.v1.Session, model_dir: Path, experiment: Experiment) -> _Tensors:
    """Builds the network with a checkpoint's weights in the session's graph."""
    checkpoint = checkpoints.checked(experiment, model_dir, None)
    network = create_network(experiment)
    network.build(experiment.seed)
    network.restore(session, checkpoint)
    images = tf.compat.v1.placeholder(tf.float32, [None, *experiment.image_shape])
    logits = network(images)
    return _Tensors(images, tf.nn.softmax(logits), logits)
