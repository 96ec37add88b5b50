"""LeNet-5 (LeCun et al. 1998, section II.B): in the form common today, and as published in `lenet5_1998`."""

from typing import Any, Iterator, List, Tuple

from estimator_mnist.architectures.architecture import Architecture, Loss, StepSizes
from estimator_mnist.architectures.recipes import ELASTIC, EVALUATED_ONCE, MIRROR, NOTEBOOK, ONE_CYCLE


def layers(experiment: Any) -> List[Any]:
    if experiment.lenet5_form == "1998":
        from estimator_mnist.architectures.lenet5_1998 import paper_layers

        return paper_layers.layers(experiment.classes)
    return _layers_of_today(experiment)


def _layers_of_today(experiment: Any) -> List[Any]:
    """The layers by their names in the paper. C3 sees all maps of S2, subsampling has no weights, the output is
    dense."""
    from estimator_mnist.layers import Conv2D, Dense, Dropout, Flatten, Pad2D, Pool2D, scaled_tanh

    return [
        Pad2D("pad", 2),
        Conv2D("c1", 6, 5, scaled_tanh),
        Pool2D("s2", "average"),
        Conv2D("c3", 16, 5, scaled_tanh),
        Pool2D("s4", "average"),
        Conv2D("c5", 120, 5, scaled_tanh),
        Flatten("flatten"),
        Dense("f6", 84, scaled_tanh),
        Dropout("dropout", experiment.dropout_rate),
        Dense("logits", experiment.classes),
    ]


def requirements(experiment: Any) -> Iterator[Tuple[str, bool, str]]:
    """Yields what the form of 1998 needs, and what needs the form of 1998; see `Architecture.requirements`."""
    if experiment.lenet5_form == "1998":
        height, width, channels = experiment.image_shape
        fits = channels == 1 and all(side <= 32 and side % 2 == 0 for side in (height, width))
        yield "lenet5_form", fits, "today: 1998 takes grey images of at most 32x32 pixels, an even number on each side"
        yield "lenet5_form", experiment.classes <= 10, "today: 1998 has codes for ten classes"
        yield "dropout_rate", experiment.dropout_rate == 0, "0 with --lenet5_form 1998, which has no dropout"


def loss(experiment: Any) -> Loss:
    from estimator_mnist.architectures.lenet5_1998 import penalties

    return penalties.create(experiment.loss, experiment.classes)


def step_sizes(experiment: Any, network: Any) -> StepSizes:
    from estimator_mnist.architectures.lenet5_1998.step_sizes import DiagonalStepSizes

    return DiagonalStepSizes(experiment.loss, experiment.steps_per_epoch, network)


ARCHITECTURE = Architecture(
    name="lenet5",
    layers=layers,
    images_per_call=2560,
    shards=2,
    options=frozenset({"lenet5_form"}),
    requirements=requirements,
    loss=loss,
    step_sizes=step_sizes,
    curvature_examples=500,  # LeCun et al. 1998, section III.B
    recipes={
        "notebook": {**NOTEBOOK, "batch_size": 128},
        "default": {**ONE_CYCLE, "batch_size": 64, "train_epochs": 8, "learning_rate": 0.003},
        "fast": {**ONE_CYCLE, **EVALUATED_ONCE, "batch_size": 64, "train_epochs": 3, "learning_rate": 0.003},
        "best": {**ONE_CYCLE, **ELASTIC, "batch_size": 64, "train_epochs": 30, "learning_rate": 0.003},
        # The experiment of LeCun et al. 1998, section III.B. Its second derivatives are estimated with two additions,
        # without which it diverges: see `DiagonalStepSizes.begin` and `hessian_diagonal.as_if_drawn_wider`.
        "paper": {
            "lenet5_form": "1998",
            "loss": "map",
            "optimizer": "lecun",
            "learning_rate": 0.0005,
            "learning_rate_schedule": "paper",
            "batch_size": 1,
            "train_epochs": 20,
            "iterations_per_loop": 1000,
        },
    },
    dataset_recipes={("best", "fashion_mnist"): MIRROR},
)
