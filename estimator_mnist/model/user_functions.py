"""Tries the network and all user functions of an experiment, before a run writes anything."""

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model import eval_metrics, losses, user_optimizer
from estimator_mnist.model_dir import ranking
from input_fns.augmentation.apply import augmented
from input_fns.augmentation.displacement_fields import Augmentation


def check(experiment: Experiment) -> None:
    """Builds the parts of a graph that a user's functions compute, and throws them away.

    Raises:
        UserCodeError: A user's function raises an exception, or returns something impossible.
        InputError: The layers do not make a network for the experiment.
    """
    network = create_network(experiment)
    if not experiment.user_code:
        return
    ranking.of_experiment(experiment)
    with tf.Graph().as_default():
        network.build(experiment.seed)
        images = tf.zeros([2, *experiment.image_shape])
        labels = tf.constant(np.zeros([2], np.int32))
        logits = network(images)
        losses.create(experiment).with_gradient(labels, logits)
        eval_metrics.of_split(experiment, logits, labels)
        optimizer = user_optimizer.create(experiment)
        if optimizer:
            weight = tf.compat.v1.get_variable("checked", [2, 3], use_resource=True)
            slots = [
                tf.compat.v1.get_variable(f"checked/{name}", [2, 3], use_resource=True) for name in optimizer.slots
            ]
            optimizer.update(weight, slots, tf.zeros([2, 3]), [tf.constant(0.1), tf.constant(0.0)])
        augment = experiment.user_function("augment")
        if augment:
            numbers = tf.zeros([2], tf.int64)
            augmentation = Augmentation(experiment.seed, augment)
            augmented(tf.cast(images, tf.uint8), numbers, tf.zeros([], tf.int64), augmentation)
