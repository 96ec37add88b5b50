"""Histograms of weights and gradients for TensorBoard, at every evaluation.

They are computed outside the training graph, in a graph without variables that is fed the weights. So nothing here can
change what is learned. A fixed, even sample of each array is counted, so that large networks cost no more.
"""

import math
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import tensorflow as tf
from tensorboard.plugins.histogram import summary as histogram

import input_fns
from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers.network import scaled
from estimator_mnist.model import losses
from estimator_mnist.model_dir import checkpoints
from estimator_mnist.training import run_config

EXAMPLES = 200  # the first of the training split: the gradients are taken on them
MAX_PIXELS = EXAMPLES * 32 * 32 * 3  # of fewer, larger images: every layer's outputs for all of them are held at a time
VALUES = 20_000  # counted of an array
BUCKETS = 40


class Histograms(tf.estimator.CheckpointSaverListener):
    """Writes "weights/<name>" and "gradients/<name>" after each save that an evaluation follows, the first included."""

    def __init__(self, experiment: Experiment, train: input_fns.Split, model_dir: Path):
        self._steps = frozenset([0, *experiment.evaluation_steps])
        self._gradients = _Gradients(experiment, train)
        self._model_dir = model_dir

    def before_save(self, session: tf.compat.v1.Session, global_step_value: int) -> None:
        # Flushed before the checkpoint is written: after a kill, nobody would log the steps up to it again.
        tf.compat.v1.summary.FileWriterCache.get(str(self._model_dir)).flush()

    def after_save(self, session: tf.compat.v1.Session, global_step_value: int) -> None:
        if global_step_value not in self._steps:
            return  # saved because of a signal: an uninterrupted run has no histograms here
        # The session may hold a weight in partitions. In the checkpoint it is one array.
        saved = tf.compat.v1.train.NewCheckpointReader(checkpoints.prefix(self._model_dir, global_step_value))
        weights = {name: saved.get_tensor(name) for name in self._gradients.weights}
        gradients = self._gradients(weights)
        writer = tf.compat.v1.summary.FileWriterCache.get(str(self._model_dir))
        for kind, arrays in (("weights", weights), ("gradients", gradients)):
            for name, array in arrays.items():
                # In float64, which holds the range of any float32. Weights that are not finite are reported elsewhere.
                values = array.ravel()[:: -(-array.size // VALUES)].astype(np.float64)
                values = values[np.isfinite(values)]
                summary = histogram.pb(name, values, BUCKETS, display_name=f"{kind}/{name}")
                summary.value[0].tag = f"{kind}/{name}"  # without the suffix that TensorBoard adds
                writer.add_summary(summary, global_step_value)


class _Gradients:
    """The gradients of the mean loss on some training examples, as a function of the weights."""

    def __init__(self, experiment: Experiment, train: input_fns.Split):
        with tf.Graph().as_default() as graph:
            network = create_network(experiment)
            self.weights = {
                name: tf.compat.v1.placeholder(tf.float32, shape) for name, shape in network.weight_shapes().items()
            }
            values = {}
            for name, weight in self.weights.items():
                layer, _, kind = name.rpartition("/")
                values[layer, kind] = [weight]
            examples = max(1, min(EXAMPLES, MAX_PIXELS // math.prod(experiment.image_shape)))
            batches = input_fns.predict_input_fn(train, examples, examples)
            self._next = tf.compat.v1.data.make_one_shot_iterator(batches).get_next()
            self._images = tf.compat.v1.placeholder(tf.uint8, [None, *experiment.image_shape])
            self._labels = tf.compat.v1.placeholder(tf.int32, [None])
            logits = network(scaled(self._images), values=values)
            loss = tf.reduce_mean(losses.create(experiment).per_example(self._labels, logits))
            trained = ["/".join(key) for key in network.trained()]
            inputs = [self.weights[name] for name in trained]
            # A user's loss may not depend on every weight.
            gradients = tf.gradients(loss, inputs, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            self._gradients = dict(zip(trained, gradients))
        self._session = tf.compat.v1.Session(graph=graph, config=run_config.session_config(experiment))
        self._examples: List[Any] = []

    def __call__(self, weights: Dict[str, np.ndarray]) -> Dict[str, np.ndarray]:
        """Returns the gradient to each trained weight, by its name, without dropout."""
        if not self._examples:
            features, labels = self._session.run(self._next)
            self._examples = [features["image"], labels]
        feed = {self.weights[name]: value for name, value in weights.items()}
        feed.update(zip((self._images, self._labels), self._examples))
        return self._session.run(self._gradients, feed)
