"""Tries the network and all user functions of an experiment, before a run writes anything."""

import re

import numpy as np
import tensorflow as tf

from estimator_mnist import user_code
from estimator_mnist.architectures import create_network, user_networks
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.layers import trial
from estimator_mnist.layers.network import Network
from estimator_mnist.model import eval_metrics, losses, user_optimizer
from estimator_mnist.model_dir import ranking
from input_fns import InputError
from input_fns.augmentation.augment_images import augmented
from input_fns.augmentation.displacement_fields import Augmentation

# Operations that draw numbers by a state which no checkpoint holds.
DRAWS = re.compile(
    r"Random(Shuffle|Uniform|StandardNormal|Poisson|Gamma).*|Multinomial|(Parameterized)?TruncatedNormal|"
    r"Stateful(Uniform|Standard|Truncated|Random).*"
)


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
        if user_code.is_reference(experiment.model):
            _try(network, experiment)
        logits = network(images)
        _check_repeatable(experiment, "model")
        losses.create(experiment).with_gradient(labels, logits)
        _check_repeatable(experiment, "loss")
        eval_metrics.of_split(experiment, logits, labels)
        _check_repeatable(experiment, "metric")
        optimizer = user_optimizer.create(experiment)
        if optimizer:
            weight, *slots = [
                tf.compat.v1.get_variable(name, initializer=tf.zeros([2, 3]), use_resource=True)
                for name in ["checked", *(f"checked/{name}" for name in optimizer.slots)]
            ]
            optimizer.update(weight, slots, tf.zeros([2, 3]), [tf.constant(0.1), tf.constant(0.0)])
            _check_repeatable(experiment, "optimizer")
        augment = experiment.user_function("augment")
        if augment:
            numbers = tf.zeros([2], tf.int64)
            augmentation = Augmentation(experiment.seed, augment)
            augmented(tf.cast(images, tf.uint8), numbers, tf.zeros([], tf.int64), augmentation)
            _check_repeatable(experiment, "augment")


def _check_repeatable(experiment: Experiment, field: str) -> None:
    """Checks that nothing in the current graph draws random numbers that a resumed run would draw otherwise.

    Args:
        experiment: Of the graph.
        field: Its field that names what was added to the graph last.
    """
    graph = tf.compat.v1.get_default_graph().as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    drawing = sorted({node.op for node in nodes if DRAWS.fullmatch(node.op)})
    if drawing:
        raise InputError(
            f"--{field} {getattr(experiment, field)}: draws random numbers ({', '.join(drawing)}) that a resumed run "
            "would not repeat; use tf.random.stateless_* or tf.image.stateless_random_*"
        )


def _try(network: Network, experiment: Experiment) -> None:
    """Tries a user's network, whose variables are in the current graph."""
    again = Network(user_networks.called(experiment.model, experiment), experiment.image_shape, experiment.classes)
    if (again.table(), again.weight_shapes()) != (network.table(), network.weight_shapes()):
        raise InputError(f"--model {experiment.model}: returned other layers at its second call; they must be equal")
    try:
        trial.check_outputs(network)
        trial.check_gradients(network, network(tf.compat.v1.placeholder(tf.float32, [None, *experiment.image_shape])))
    except InputError as error:
        raise InputError(f"--model {experiment.model}: {error}") from error
