"""784-128-10: one hidden layer."""

from typing import Any, List

from estimator_mnist.architectures.architecture import Architecture
from estimator_mnist.architectures.recipes import ELASTIC, EVALUATED_ONCE, MIRROR, NOTEBOOK, ONE_CYCLE


def layers(experiment: Any) -> List[Any]:
    from estimator_mnist.layers import Dense, Dropout, Flatten, relu

    return [
        Flatten("flatten"),
        Dense("dense1", 128, relu),
        Dropout("dropout", experiment.dropout_rate),
        Dense("logits", experiment.classes),
    ]


ARCHITECTURE = Architecture(
    name="dense",
    layers=layers,
    images_per_call=12_800,
    shards=1,
    partitioned_layers=("dense1", "logits"),
    partitions=2,
    recipes={
        "notebook": {**NOTEBOOK, "batch_size": 64, "dropout_rate": 0.2},
        "default": {**ONE_CYCLE, "batch_size": 64, "train_epochs": 10, "learning_rate": 0.003, "dropout_rate": 0.2},
        "fast": {**ONE_CYCLE, **EVALUATED_ONCE, "batch_size": 64, "train_epochs": 3, "learning_rate": 0.003},
        "best": {**ONE_CYCLE, **ELASTIC, "batch_size": 64, "train_epochs": 60, "learning_rate": 0.003},
    },
    dataset_recipes={("best", "fashion_mnist"): MIRROR},
)
