"""A checkpoint's answers on the evaluated split: all that is shown of a finished run comes from this one pass."""

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation.metrics import Classified
from estimator_mnist.layers.variables import Shape
from estimator_mnist.training.estimator import Estimator, Evaluation


def by_checkpoint(experiment: Experiment, estimator: Estimator, checkpoint: str) -> Classified:
    """Classifies every example of the split that the run is evaluated on.

    The forward pass of an evaluation that the estimator has just made of the checkpoint is not repeated.

    Args:
        experiment: Whose network it is.
        estimator: Made with the experiment's data.
        checkpoint: Path prefix of an intact checkpoint.
    """
    return from_evaluation(experiment, estimator.classify(checkpoint), checkpoint)


def from_evaluation(experiment: Experiment, evaluation: Evaluation, checkpoint: str) -> Classified:
    """Returns the outputs of an evaluation, with the first layer's weights of the checkpoint."""
    outputs = evaluation.outputs
    first_weight = next(iter(create_network(experiment).weight_shapes()))
    kernel = tf.compat.v1.train.NewCheckpointReader(checkpoint).get_tensor(first_weight)
    return Classified(
        images=outputs["image"].reshape(-1, *experiment.image_shape[:2]),
        labels=outputs["label"],
        logits=outputs["logits"],
        hidden=outputs["hidden"],
        filters=_as_images(kernel, experiment.image_shape),
        split=experiment.evaluated_split,
    )


def _as_images(kernel: np.ndarray, image_shape: Shape) -> np.ndarray:
    """Returns a kernel of the first layer, [height, width, 1, filters] or [pixels, units], as images.

    Returns:
        float32 [height, width, filters].
    """
    if kernel.ndim == 2:
        return kernel.reshape(*image_shape[:2], -1)
    return kernel[:, :, 0, :]
