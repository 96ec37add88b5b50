"""The settings of a run, each declared once: flag, help, default, possible values."""

import contextlib
import dataclasses
import functools
import typing
from dataclasses import dataclass
from typing import Any, Dict, FrozenSet, Optional, Tuple

from estimator_mnist.architectures import ARCHITECTURES, RECIPES
from estimator_mnist.config import compatibility
from estimator_mnist.config import setting as settings
from estimator_mnist.config.limits import (
    CLASS_NAMES,
    COUNT,
    COUNT_OR_ZERO,
    FRACTION,
    IMAGE_SHAPE,
    IMAGE_SIZE,
    RATE,
    REPLICAS,
    SEED,
    SHARE,
    STRENGTH,
    TEST_FRACTION,
    THREADS,
)
from estimator_mnist.config.setting import Trait, in_group
from estimator_mnist.system import json_records
from input_fns import AUGMENTS, INPUTS, SOURCES, InputError

MODELS = tuple(ARCHITECTURES)
LENET5_FORMS = ("today", "1998")  # see architectures/lenet5.py
LOSSES = ("cross_entropy", "mse", "map")  # see model/losses.py and architectures/lenet5_1998/penalties.py
OPTIMIZERS = ("adam", "sgd", "momentum", "lecun")
SCHEDULES = ("constant", "cosine", "one_cycle", "paper")
DOWNSAMPLES = ("pool", "stride")
STRATEGIES = ("none", "mirrored", "multi_worker", "parameter_server")  # see distribute/strategies.py
SHOWN_CHARACTERS = 80  # of a value in a message

_NETWORK, _DATA, _TRAINING = in_group("Network"), in_group("Data"), in_group("Training")
_SESSION, _DISTRIBUTION = in_group("Session"), in_group("Distributed training")
_FREE, _LATER, _FOUND, _FUNCTION = Trait.MAY_CHANGE, Trait.LATER, Trait.FOUND, Trait.USER_FUNCTION


@dataclass(frozen=True)
class Settings:
    """All that a run depends on; see `Experiment`.

    Each field is the flag of its name, except for those that describe the data and the user's code that were found.

    Raises:
        InputError: A value is out of its range, or two values contradict each other.
    """

    model: str = _NETWORK("conv", "The network.", choices=MODELS, traits=_FUNCTION)
    downsample: str = _NETWORK("pool", "How conv reduces its feature maps.", choices=DOWNSAMPLES)
    batch_norm: bool = _NETWORK(False, "Normalise the feature maps of conv by batch.", traits=_LATER)
    lenet5_form: str = _NETWORK("today", "lenet5 as is common or as published.", choices=LENET5_FORMS, traits=_LATER)
    dropout_rate: float = _NETWORK(0.0, "Share of the units dropped before the logits.", limits=SHARE)
    user_code: Dict[str, str] = _NETWORK(  # noqa: RUF009  as all others: `setting` makes a field with a factory
        dict, "SHA-256 of each user file, by its name.", traits=_FOUND | _LATER
    )

    dataset: str = _DATA("mnist", "TFDS name of a data set of images with class labels, or a name for your own.")
    source: str = _DATA(
        "tfds", "Where the data comes from. auto: what is given, else TFDS, else the sample.", choices=SOURCES
    )
    data_digest: str = _DATA("", "Equal for equal data.", traits=_FOUND)
    train_examples: int = _DATA(60_000, "Examples in the training split.", limits=COUNT, traits=_FOUND)
    test_examples: int = _DATA(10_000, "Examples in the evaluated split.", limits=COUNT, traits=_FOUND)
    class_names: Tuple[str, ...] = _DATA(tuple("0123456789"), "By label.", limits=CLASS_NAMES, traits=_FOUND)
    image_shape: Tuple[int, int, int] = _DATA(
        (28, 28, 1), "Height, width, channels.", limits=IMAGE_SHAPE, traits=_FOUND | _LATER
    )
    preparation: str = _DATA("", "How the images look as if prepared.", traits=_FOUND | _LATER)
    data_dir: Optional[str] = _DATA(
        None, "Where TFDS keeps its data. Default: $TFDS_DATA_DIR, else ~/tensorflow_datasets.", traits=_FREE
    )
    idx_dir: Optional[str] = _DATA(None, "Folder with the four IDX files, plain or gzipped.", traits=_FREE)
    image_dir: Optional[str] = _DATA(
        None, "Folder of images: train/CLASS/* and test/CLASS/*, or CLASS/*.", traits=_FREE | _LATER
    )
    image_size: Optional[str] = _DATA(
        None, "Resize the images to H or HxW pixels. Default: all have one size.", limits=IMAGE_SIZE, traits=_LATER
    )
    arrays: Optional[str] = _DATA(None, "An .npz file with x_train, y_train, x_test and y_test.", traits=_FREE | _LATER)
    test_fraction: float = _DATA(
        0.2, "Share of the images to test on, where the data has no test split.", limits=TEST_FRACTION, traits=_LATER
    )
    input: str = _DATA("indexed", "How batches are made.", choices=INPUTS)
    validation_size: int = _DATA(
        0,
        "Evaluate on this many examples from the end of the training split, and do not train on them.",
        limits=COUNT_OR_ZERO,
        traits=_LATER,
    )

    recipe: str = _TRAINING("default", "Sets the flags of network and training that are not given.", choices=RECIPES)
    batch_size: int = _TRAINING(64, "Examples in a training batch.", limits=COUNT)
    eval_batch_size: int = _TRAINING(500, "Examples in an evaluation batch.", limits=COUNT, traits=_FREE)
    train_epochs: int = _TRAINING(10, "Epochs to train.", limits=COUNT)
    train_steps: Optional[int] = _TRAINING(None, "Steps to train, in place of --train_epochs.", limits=COUNT)
    evals: Optional[int] = _TRAINING(None, "Evaluations over the run. Default: one an epoch.", limits=COUNT)
    loss: str = _TRAINING("cross_entropy", "The loss to minimise.", choices=LOSSES, traits=_LATER | _FUNCTION)
    metric: str = _TRAINING("", "A further metric to evaluate.", choices=("",), traits=_LATER | _FUNCTION)
    best_metric: str = _TRAINING(
        "accuracy", "What the best checkpoint is best in: accuracy, loss, or the function of --metric.", traits=_LATER
    )
    optimizer: str = _TRAINING("adam", "The optimizer.", choices=OPTIMIZERS, traits=_FUNCTION)
    learning_rate: float = _TRAINING(0.001, "The learning rate. With a schedule: its peak.", limits=RATE)
    learning_rate_schedule: str = _TRAINING(
        "constant", "How the learning rate changes over the run.", choices=SCHEDULES
    )
    label_smoothing: float = _TRAINING(0.0, "Share of the target that is spread over all classes.", limits=SHARE)
    average_decay: float = _TRAINING(
        0.0,
        "Evaluate an exponential moving average of the weights, with this decay. 0: no average.",
        limits=SHARE,
        traits=_LATER,
    )
    augment: str = _TRAINING(
        "none",
        "Augmentation of the training images, drawn anew every epoch.",
        choices=tuple(AUGMENTS),
        traits=_LATER | _FUNCTION,
    )
    augment_strength: float = _TRAINING(
        1.0, "Multiplies the limits of the augmentation.", limits=STRENGTH, traits=_LATER
    )
    seed: int = _TRAINING(0, "Equal seeds give bitwise equal runs.", limits=SEED)
    iterations_per_loop: int = _TRAINING(
        0, "Training steps in one session call. 0: chosen by batch size.", limits=COUNT_OR_ZERO, traits=_FREE
    )

    allow_growth: bool = _SESSION(True, "Allocate GPU memory as it is needed.", traits=_FREE)
    gpu_memory_fraction: float = _SESSION(
        0.9, "Largest share of a GPU's memory to allocate.", limits=FRACTION, traits=_FREE
    )
    allow_soft_placement: bool = _SESSION(True, "Run on the CPU what the GPU cannot run.", traits=_FREE)
    log_device_placement: bool = _SESSION(False, "Log the device of each op.", traits=_FREE)
    inter_op_threads: int = _SESSION(0, "Ops that run at a time. 0: one for each core.", limits=THREADS, traits=_FREE)
    intra_op_threads: int = _SESSION(0, "Threads within an op. 0: chosen.", limits=THREADS, traits=_FREE)
    xla: bool = _SESSION(False, "Compile with XLA.")
    mixed_precision: bool = _SESSION(False, "Let TensorFlow lower the precision where it is safe.")
    profile: bool = _SESSION(False, "Write a trace of one session call, for chrome://tracing.", traits=_FREE)

    # The tasks of a cluster are no part of the experiment: TF_CONFIG names them.
    strategy: str = _DISTRIBUTION(
        "none", "How training is distributed. TF_CONFIG names the tasks.", choices=STRATEGIES, traits=_FREE | _LATER
    )
    replicas: int = _DISTRIBUTION(
        0,
        "mirrored: replicas in this process. 0: one for each GPU.",
        limits=REPLICAS,
        traits=_FREE | _LATER,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check(field.name, value)
            object.__setattr__(self, field.name, _typed(field.name, value))
        for name, possible, wanted in compatibility.rules(self):
            if not possible:
                raise _refusal(name, getattr(self, name), wanted)


def check(name: str, value: Any) -> None:
    """Checks the value of a field by itself.

    Raises:
        InputError: It is not possible.
    """
    wanted = None
    with contextlib.suppress(TypeError):  # of a value of another type, which `_typed` refuses
        wanted = settings.problem(FIELDS[name], value)
    if wanted:
        raise _refusal(name, value, wanted)


def _refusal(name: str, value: Any, wanted: str) -> InputError:
    flag, text = name if name in DATA else f"--{name}", str(value)
    text = text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."
    return InputError(f"{flag}: {text} is not possible; it must be {wanted}")


@functools.cache
def _types() -> Dict[str, Any]:
    return typing.get_type_hints(Settings)


def _typed(name: str, value: Any) -> Any:
    """Returns a value as its field's type has it: a list as a tuple, a number of NumPy as one of Python.

    Raises:
        InputError: It has another type.
    """
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        value = value.item()
    try:
        return json_records.typed(value, _types()[name], name)
    except json_records.RecordError as error:
        raise InputError(str(error)) from error


FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def _with(trait: Trait) -> FrozenSet[str]:
    return frozenset(name for name, field in FIELDS.items() if trait in settings.of(field).traits)


# Fields that may name a function of a user's file.
USER_FUNCTIONS = tuple(name for name, field in FIELDS.items() if Trait.USER_FUNCTION in settings.of(field).traits)
MAY_CHANGE = _with(Trait.MAY_CHANGE)  # a run may resume with other values of these
LATER = _with(Trait.LATER)  # an older experiment.json lacks these
DATA = _with(Trait.FOUND)  # describe the data and the user's code that were found: no flag sets them
