"""One pass of a checkpoint over the evaluated split: all that is shown of a finished run comes from it."""

import numpy as np
import tensorflow as tf

import input_fns
from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation.metrics import Classified
from estimator_mnist.layers.network import scaled
from estimator_mnist.layers.variables import Shape
from estimator_mnist.model import cpu_parallelism
from estimator_mnist.training import run_config


def over_split(experiment: Experiment, data: input_fns.Data, checkpoint: str) -> Classified:
    """Classifies every example of the split that the run is evaluated on.

    Args:
        experiment: Whose network it is.
        data: Its data.
        checkpoint: Path prefix of a whole checkpoint.
    """
    network = create_network(experiment)
    with tf.Graph().as_default(), tf.compat.v1.Session(config=run_config.session_config(experiment)) as session:
        batches = input_fns.eval_input_fn(data.test, experiment.eval_batch_size)
        features, labels = tf.compat.v1.data.make_one_shot_iterator(batches).get_next()
        network.build(experiment.seed)
        network.restore(session, checkpoint)
        shards = [
            network.outputs(scaled(shard))
            for shard in cpu_parallelism.split_for_inference(experiment, features["image"])
        ]
        # Of the last two layers, each in one part.
        hidden, logits = (tf.concat([outputs[layer][0] for outputs in shards], axis=0) for layer in (-2, -1))
        parts = []
        while True:
            try:
                parts.append(session.run((features["image"], labels, logits, hidden)))
            except tf.errors.OutOfRangeError:
                break
        kernel = session.run(next(iter(network.variables.values())).parts[0])
    images, labels, logits, hidden = (np.concatenate(part) for part in zip(*parts))
    return Classified(
        images.reshape(-1, *experiment.image_shape[:2]),
        labels,
        logits,
        hidden,
        _as_images(kernel, experiment.image_shape),
        experiment.evaluated_split,
    )


def _as_images(kernel: np.ndarray, image_shape: Shape) -> np.ndarray:
    """Returns a kernel of the first layer, float32 [height, width, 1, filters] or [28 * 28, units], as images.

    Returns:
        float32 [height, width, filters].
    """
    if kernel.ndim == 2:
        return kernel.reshape(*image_shape[:2], -1)
    return kernel[:, :, 0, :]
