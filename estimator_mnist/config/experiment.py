"""Experiment: one frozen value that says everything about a run. No TensorFlow in it."""

import dataclasses
import json
import math
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from estimator_mnist.architectures import ARCHITECTURES, Architecture
from estimator_mnist.system.paths import RemoteError, replace_file
from input_fns import AUGMENTS, INPUTS, InputError
from input_fns.augmentation.displacement_fields import LARGEST_STRENGTH

MODELS = tuple(ARCHITECTURES)
LENET5_FORMS = ("today", "1998")  # see architectures/lenet5.py
LOSSES = ("cross_entropy", "mse", "map")  # see model/losses.py and lenet5_1998/penalties.py
OPTIMIZERS = ("adam", "sgd", "momentum", "lecun")
SCHEDULES = ("constant", "cosine", "one_cycle", "paper")
DOWNSAMPLES = ("pool", "stride")
STRATEGIES = ("none", "mirrored", "multi_worker", "parameter_server")  # see distribution.py
SEARCHES = ("grid", "random", "optuna")  # of a sweep
FILE_NAME = "experiment.json"

# Fields that change nothing in what is learned: where things lie, how the session is set up, and what shares the work.
# A run may go on with others of these.
MAY_CHANGE = frozenset(
    "data_dir idx_dir eval_batch_size iterations_per_loop allow_growth gpu_memory_fraction allow_soft_placement "
    "log_device_placement inter_op_threads intra_op_threads profile strategy replicas".split()
)
# Fields that came after the first model_dirs: where an experiment.json lacks one, its default is what was done.
LATER = frozenset(
    "validation_size augment augment_strength average_decay lenet5_form loss batch_norm strategy replicas "
    "image_shape".split()
)
# Fields that no flag sets: what was found as data.
DATA = frozenset("data_digest train_examples test_examples class_names image_shape".split())


@dataclass(frozen=True)
class Experiment:
    """All that a run depends on; each field is the flag of its name.

    Raises:
        InputError: A value is out of its range.
    """

    model: str = "conv"
    downsample: str = "pool"
    batch_norm: bool = False  # in conv
    lenet5_form: str = "today"
    dropout_rate: float = 0.0  # share of the units that are dropped
    # The data, as it was found.
    dataset: str = "mnist"
    source: str = "tfds"
    data_digest: str = ""
    train_examples: int = 60_000
    test_examples: int = 10_000  # of the split that the run is evaluated on
    class_names: Tuple[str, ...] = tuple("0123456789")
    image_shape: Tuple[int, int, int] = (28, 28, 1)  # height, width, channels
    data_dir: Optional[str] = None
    idx_dir: Optional[str] = None
    input: str = "indexed"
    validation_size: int = 0  # training examples that are kept from training, to be evaluated on in the test's place
    # The training.
    recipe: str = "default"
    batch_size: int = 64
    eval_batch_size: int = 500
    train_epochs: int = 10
    train_steps: Optional[int] = None  # in place of train_epochs
    evals: Optional[int] = None  # over the run; None: one an epoch
    loss: str = "cross_entropy"
    optimizer: str = "adam"
    learning_rate: float = 0.001
    learning_rate_schedule: str = "constant"
    label_smoothing: float = 0.0
    average_decay: float = 0.0  # of the moving average of the weights that is used in their place; 0: none
    augment: str = "none"  # how training images are distorted
    augment_strength: float = 1.0
    seed: int = 0
    iterations_per_loop: int = 0  # training steps in one session call; 0: chosen by batch size
    # The session.
    allow_growth: bool = True
    gpu_memory_fraction: float = 0.9
    allow_soft_placement: bool = True
    log_device_placement: bool = False
    inter_op_threads: int = 0
    intra_op_threads: int = 0
    xla: bool = False
    mixed_precision: bool = False
    profile: bool = False  # trace one session call
    # What shares the training; the tasks of a cluster are not part of the experiment.
    strategy: str = "none"
    replicas: int = 0  # of "mirrored" in this process; 0: one for each GPU

    def __post_init__(self) -> None:
        self._check_one_of("model", MODELS)
        self._check_one_of("downsample", DOWNSAMPLES)
        self._check_one_of("lenet5_form", LENET5_FORMS)
        self._check_one_of("input", INPUTS)
        self._check_one_of("loss", LOSSES)
        self._check_one_of("optimizer", OPTIMIZERS)
        self._check_one_of("learning_rate_schedule", SCHEDULES)
        self._check_one_of("augment", tuple(AUGMENTS))
        self._check_one_of("strategy", STRATEGIES)
        shared = self.strategy == "none" or self.input == "indexed"
        self._check("strategy", shared, f"none with --input {self.input}: only indexed batches can be shared")
        steps = self.strategy != "parameter_server" or self.optimizer != "lecun"
        self._check("strategy", steps, "another with --optimizer lecun, whose step sizes all replicas have to share")
        self._check("replicas", not self.replicas or self.strategy == "mirrored", "0 without --strategy mirrored")
        numbered = self.augment == "none" or self.input != "stream"
        self._check("augment", numbered, "none with --input stream, where an example has no number to draw by")
        limit = f"above 0 and at most {LARGEST_STRENGTH:g}"
        self._check("augment_strength", 0 < self.augment_strength <= LARGEST_STRENGTH, limit)
        known = not self.batch_norm or "batch_norm" in self.architecture.options
        self._check("batch_norm", known, f"false with --model {self.model}")
        alone = not self.batch_norm or self.strategy == "none"
        self._check("batch_norm", alone, f"false with --strategy {self.strategy}: a batch's statistics are not shared")
        self._check_architecture()
        self._check("dropout_rate", 0 <= self.dropout_rate < 1, "at least 0 and below 1")
        self._check("label_smoothing", 0 <= self.label_smoothing < 1, "at least 0 and below 1")
        self._check("average_decay", 0 <= self.average_decay < 1, "at least 0 and below 1")
        self._check("learning_rate", 0 < self.learning_rate < math.inf, "a finite number above 0")
        self._check("gpu_memory_fraction", 0 < self.gpu_memory_fraction <= 1, "above 0 and at most 1")
        self._check("seed", 0 <= self.seed < 2**62, "at least 0 and below 2**62")
        for name in ("batch_size", "eval_batch_size", "train_epochs", "train_steps", "evals"):
            value = getattr(self, name)
            self._check(name, value is None or 1 <= value < 2**31, "a whole number from 1 to 2**31 - 1")
        for name in ("iterations_per_loop", "inter_op_threads", "intra_op_threads", "validation_size", "replicas"):
            self._check(name, 0 <= getattr(self, name) < 2**31, "a whole number from 0 to 2**31 - 1")
        self._check("train_steps", self.total_steps < 2**31, "a run of fewer than 2**31 steps")
        if self.evals is not None:
            limit = f"at most {self.total_steps}, the steps of the run"
            self._check("evals", self.evals <= min(self.total_steps, 10_000), f"{limit}, and at most 10,000")

    def _check_architecture(self) -> None:
        """Checks what the architecture needs, and what only the LeNet-5 of 1998 has."""
        paper = self.lenet5_form == "1998"
        known = not paper or "lenet5_form" in self.architecture.options
        self._check("lenet5_form", known, f"today with --model {self.model}")
        penalties = "cross_entropy: only the outputs of --lenet5_form 1998 are penalties"
        self._check("loss", paper or self.loss == "cross_entropy", penalties)
        second = "another: second derivatives are there for --lenet5_form 1998 only"
        self._check("optimizer", paper or self.optimizer != "lecun", second)
        for name, possible, wanted in self.architecture.requirements(self):
            self._check(name, possible, wanted)
        smooth = self.label_smoothing == 0 or self.loss == "cross_entropy"
        self._check("label_smoothing", smooth, f"0 with --loss {self.loss}")

    def _check_one_of(self, name: str, values: Tuple[str, ...]) -> None:
        self._check(name, getattr(self, name) in values, "one of " + ", ".join(values))

    def _check(self, name: str, good: bool, wanted: str) -> None:
        if not good:
            raise InputError(f"--{name}: {getattr(self, name)} is not possible; it must be {wanted}")

    @property
    def architecture(self) -> Architecture:
        return ARCHITECTURES[self.model]

    @property
    def curvature_examples(self) -> int:
        """Training images that come with each session call, for step sizes to be estimated on."""
        return self.architecture.curvature_examples if self.optimizer == "lecun" else 0

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def evaluated_split(self) -> str:
        """What the run is evaluated on: "test" or "validation"."""
        return "validation" if self.validation_size else "test"

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch, the smaller last one counted."""
        return -(-self.train_examples // self.batch_size)

    @property
    def total_steps(self) -> int:
        return self.train_steps or self.train_epochs * self.steps_per_epoch

    @property
    def epochs(self) -> int:
        """Epochs in the run, one only begun counted."""
        return -(-self.total_steps // self.steps_per_epoch)

    @property
    def evaluation_steps(self) -> List[int]:
        """Steps after which the run is saved and evaluated, the last step always among them."""
        evals = self.evals or self.epochs
        if self.evals is None:
            return [min((i + 1) * self.steps_per_epoch, self.total_steps) for i in range(evals)]
        return [round((i + 1) * self.total_steps / evals) for i in range(evals)]

    @property
    def steps_per_loop(self) -> int:
        """Training steps in one session call: so many that its fixed cost is small beside them."""
        if self.strategy == "mirrored":  # whose replicas cannot meet within a loop
            return 1
        return self.iterations_per_loop or max(1, min(200, self.architecture.images_per_call // self.batch_size))

    def differences(self, other: "Experiment") -> List[str]:
        """Returns "--flag is A, not B" for each difference to `other` that changes what is learned."""
        names = [field.name for field in dataclasses.fields(self) if field.name not in MAY_CHANGE]
        found = [name for name in names if getattr(self, name) != getattr(other, name)]
        flags = [f"--{name} is {getattr(self, name)}, not {getattr(other, name)}" for name in found if name not in DATA]
        return flags or ["the data is not the same"] if found else []

    def write(self, model_dir: Path) -> None:
        """Writes model_dir/experiment.json, whole or not at all."""
        replace_file(model_dir / FILE_NAME, json.dumps(dataclasses.asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, model_dir: Path) -> Optional["Experiment"]:
        """Returns the experiment of a model_dir, None if it holds none.

        Raises:
            InputError: The file is damaged.
            RemoteError: A remote folder cannot be read.
        """
        path = model_dir / FILE_NAME
        try:
            return cls.from_json(json.loads(path.read_text()))
        except FileNotFoundError:
            return None
        except RemoteError:
            raise  # not of the file: its reader names the flag
        except (OSError, ValueError, TypeError, InputError) as error:
            raise InputError(f"{path}: holds no experiment ({error}); --clean starts over") from error

    @classmethod
    def from_json(cls, values: Dict[str, Any]) -> "Experiment":
        """Returns the experiment of `dataclasses.asdict`'s value.

        Raises:
            ValueError: A key is missing (but for those of LATER) or unknown, or a value is of another type.
            InputError: A value is out of its range.
        """
        types = typing.get_type_hints(cls)
        if not isinstance(values, dict) or set(values) | LATER != set(types):
            raise ValueError("its keys are not those of this version")
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        for name, value in values.items():
            allowed = typing.get_args(types[name]) or (types[name],)
            if not isinstance(value, tuple) and type(value) not in allowed:
                raise ValueError(f"{name} is {value!r}")
        return cls(**values)
