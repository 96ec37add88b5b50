"""Classifies the evaluated split by a checkpoint. One forward pass serves all that is shown of a finished run."""

from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import first_filters
from estimator_mnist.evaluation.metrics import Classified
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
    """Returns the outputs of an evaluation, together with the first kernel from its checkpoint.

    Args:
        experiment: The experiment whose network was evaluated.
        evaluation: What the estimator returned for the checkpoint.
        checkpoint: Path prefix of that checkpoint.
    """
    outputs = evaluation.outputs
    return Classified(
        images=outputs["image"].reshape(-1, *experiment.image_shape),
        labels=outputs["label"],
        logits=outputs["logits"],
        hidden=outputs["hidden"],
        filters=first_filters.read(create_network(experiment), checkpoint),
        split=experiment.evaluated_split,
        light_on_dark=experiment.image_shape[2] == 1 and experiment.preparation != "resize",
    )
