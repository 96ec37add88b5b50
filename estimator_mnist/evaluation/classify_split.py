"""Classifies the evaluated split by a checkpoint. One forward pass serves all that is shown of a finished run."""

import numpy as np
import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation.metrics import Classified
from estimator_mnist.layers.variables import Shape
from estimator_mnist.training.estimator import Estimator, Evaluation


def by_checkpoint(experiment: Experiment, estimator: Estimator, checkpoint: str) -> Classified:
    """Classifies every example of the split that the run is evaluated on.

    If the estimator has just evaluated the checkpoint, its forward pass is reused.

    Args:
        experiment: The experiment whose network classifies.
        estimator: Created with the experiment's data.
        checkpoint: Path prefix of an intact checkpoint.
    """
    return from_evaluation(experiment, estimator.classify(checkpoint), checkpoint)


def from_evaluation(experiment: Experiment, evaluation: Evaluation, checkpoint: str) -> Classified:
    """Returns the outputs of an evaluation, together with the first layer's weights from its checkpoint.

    Args:
        experiment: The experiment whose network was evaluated.
        evaluation: What the estimator returned for the checkpoint.
        checkpoint: Path prefix of that checkpoint.
    """
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
    """Returns the first layer's kernel as images, float32 [height, width, filters].

    Args:
        kernel: float32 [height, width, channels, filters] of a convolution, of which the first channel is shown, or
            [pixels, units] of a fully connected layer.
        image_shape: Height, width and channels of an image.
    """
    if kernel.ndim == 2:
        return kernel.reshape(*image_shape[:2], -1)
    return kernel[:, :, 0, :]
