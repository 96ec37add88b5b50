"""64 filters of 5x5, twice, without pooling, then 128 units: the largest network of the exercise."""

from typing import Any, List

from estimator_mnist.architectures.architecture import Architecture
from estimator_mnist.architectures.recipes import ELASTIC, EVALUATED_ONCE, MIRROR, NOTEBOOK, ONE_CYCLE


def layers(experiment: Any) -> List[Any]:
    from estimator_mnist.layers import Conv2D, Dense, Dropout, Flatten, relu

    return [
        Conv2D("conv1", 64, 5, relu),
        Conv2D("conv2", 64, 5, relu),
        Flatten("flatten"),
        Dense("dense1", 128, relu),
        Dropout("dropout", experiment.dropout_rate),
        Dense("logits", experiment.classes),
    ]


ARCHITECTURE = Architecture(
    name="conv_plain",
    layers=layers,
    images_per_call=256,
    shards=4,
    recipes={
        "notebook": {**NOTEBOOK, "batch_size": 128},
        "default": {**ONE_CYCLE, "batch_size": 128, "train_epochs": 3, "learning_rate": 0.001},
        "fast": {**ONE_CYCLE, **EVALUATED_ONCE, "batch_size": 128, "train_epochs": 1, "learning_rate": 0.001},
        "best": {
            **ONE_CYCLE,
            **ELASTIC,
            "batch_size": 128,
            "train_epochs": 8,
            "learning_rate": 0.001,
            "dropout_rate": 0.3,
        },
    },
    dataset_recipes={("best", "fashion_mnist"): MIRROR},
)
