"""The trained network of a model_dir as a function. The only place that knows how exported models are kept."""

from pathlib import Path
from typing import Optional, Tuple

import numpy as np
import tensorflow as tf

from estimator_mnist import checkpoints, networks, run_config
from estimator_mnist.experiment import Experiment
from estimator_mnist.predict import Classifier
from input_fns import InputError
from input_fns.errors import reason

EXPORTED = Path("export", "final")  # in a model_dir: SavedModels in folders named by numbers
SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY  # "image" to "probabilities"


def load(model_dir: Path, experiment: Experiment) -> Classifier:
    """Returns the exported model, or the newest whole checkpoint where none is exported, as a function.

    It maps images, uint8 [n, 28, 28], light on dark, to probabilities, float32 [n, classes].

    Raises:
        InputError: There is neither, or it is damaged.
    """
    exported = newest_export(model_dir)
    with tf.Graph().as_default():
        session = tf.compat.v1.Session(config=run_config.session_config(experiment))
        if exported is not None:
            images, probabilities = _saved_model(session, exported)
        else:
            images, probabilities = _checkpoint(session, model_dir, experiment)
        call = session.make_callable(probabilities, [images])
    return lambda batch: call(batch.astype(np.float32) / 255)


def newest_export(model_dir: Path) -> Optional[Path]:
    """Returns the newest exported SavedModel; one that is being written has another name."""
    versions = [path for path in (model_dir / EXPORTED).glob("*") if path.name.isdigit() and path.is_dir()]
    return max(versions, key=lambda path: int(path.name), default=None)


def _saved_model(session: tf.compat.v1.Session, folder: Path) -> Tuple[tf.Tensor, tf.Tensor]:
    """Loads a SavedModel into the session's graph and returns its input and its probabilities."""
    try:
        loaded = tf.compat.v1.saved_model.load(session, [tf.saved_model.SERVING], str(folder))
        signature, graph = loaded.signature_def[SIGNATURE], session.graph
        return (
            graph.get_tensor_by_name(signature.inputs["image"].name),
            graph.get_tensor_by_name(signature.outputs["probabilities"].name),
        )
    except Exception as error:  # of many classes, by what is damaged
        raise InputError(
            f"{folder}: cannot be loaded ({reason(error)}); remove it, or export the model again"
        ) from error


def _checkpoint(session: tf.compat.v1.Session, model_dir: Path, experiment: Experiment) -> Tuple[tf.Tensor, tf.Tensor]:
    """Builds the network into the session's graph, with a checkpoint's weights; returns as `_saved_model`."""
    step, _ = checkpoints.newest_whole(model_dir)
    if not checkpoints.steps(model_dir):
        raise InputError(f"--model_dir {model_dir}: holds no trained model yet; train one first")
    network = networks.create(experiment)
    network.build(experiment.seed)
    images = tf.compat.v1.placeholder(tf.float32, [None, *networks.IMAGE_SHAPE[:2]])
    probabilities = tf.nn.softmax(network(images))
    variables = [variable for parameter in network.variables.values() for variable in parameter.parts]
    tf.compat.v1.train.Saver(variables).restore(session, checkpoints.prefix(model_dir, step))
    return images, probabilities
