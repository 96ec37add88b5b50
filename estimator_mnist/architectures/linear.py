"""Softmax regression: no hidden layer. The baseline that every other network has to beat."""

from typing import Any, List

from estimator_mnist.architectures.architecture import Architecture
from estimator_mnist.architectures.recipes import ELASTIC, EVALUATED_ONCE, MIRROR, NOTEBOOK, ONE_CYCLE


def layers(experiment: Any) -> List[Any]:
    from estimator_mnist.layers import Dense, Dropout, Flatten

    return [Flatten("flatten"), Dropout("dropout", experiment.dropout_rate), Dense("logits", experiment.classes)]


ARCHITECTURE = Architecture(
    name="linear",
    layers=layers,
    recipes={
        "notebook": {**NOTEBOOK, "batch_size": 64},
        "default": {**ONE_CYCLE, "batch_size": 64, "train_epochs": 10, "learning_rate": 0.003},
        "fast": {**ONE_CYCLE, **EVALUATED_ONCE, "batch_size": 64, "train_epochs": 3, "learning_rate": 0.003},
        "best": {**ONE_CYCLE, **ELASTIC, "batch_size": 64, "train_epochs": 20, "learning_rate": 0.003},
    },
    dataset_recipes={("best", "fashion_mnist"): MIRROR},
)
