"""Experiment: one frozen value that describes a run. It imports no TensorFlow."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional

from estimator_mnist import architectures, user_code
from estimator_mnist.architectures import Architecture
from estimator_mnist.config.fields import DATA, FIELDS, MAY_CHANGE, Settings
from estimator_mnist.system import json_records
from estimator_mnist.system.paths import replace_file
from estimator_mnist.system.remote_path import RemoteError
from estimator_mnist.user_code import UserFunction
from input_fns import InputError

FILE_NAME = "experiment.json"


@dataclass(frozen=True)
class Experiment(Settings):
    """All that a run depends on, and what follows from it. The fields are those of `Settings`.

    Raises:
        InputError: A value is out of its range, or two values contradict each other.
    """

    @property
    def architecture(self) -> Architecture:
        return architectures.named(self.model)

    def user_function(self, name: str) -> Optional[UserFunction]:
        """Returns the user's function that a field names, None if it names no user's function.

        Raises:
            InputError: The user's file cannot be read, raises an exception, or has no such function.
        """
        value = getattr(self, name)
        return user_code.function(value, self.user_code, f"--{name}") if user_code.is_reference(value) else None

    @property
    def curvature_examples(self) -> int:
        """Training images that each session call carries to estimate step sizes on."""
        return self.architecture.curvature_examples if self.optimizer == "lecun" else 0

    @property
    def classes(self) -> int:
        return len(self.class_names)

    @property
    def metric_name(self) -> str:
        """The name of the user's metric in evaluations and results; "" without --metric."""
        return user_code.parse(self.metric).function if self.metric else ""

    @property
    def evaluated_split(self) -> str:
        """The split that the run is evaluated on: "test" or "validation"."""
        return "validation" if self.validation_size else "test"

    @property
    def steps_per_epoch(self) -> int:
        """Batches in an epoch, including a smaller last one."""
        return -(-self.train_examples // self.batch_size)

    @property
    def total_steps(self) -> int:
        return self.train_steps or self.train_epochs * self.steps_per_epoch

    @property
    def epochs(self) -> int:
        """Epochs in the run, including one that is only begun."""
        return -(-self.total_steps // self.steps_per_epoch)

    @property
    def evaluation_steps(self) -> List[int]:
        """Steps after which the run is saved and evaluated. The last step is always among them."""
        evals = self.evals or self.epochs
        if self.evals is None:
            return [min((i + 1) * self.steps_per_epoch, self.total_steps) for i in range(evals)]
        return [round((i + 1) * self.total_steps / evals) for i in range(evals)]

    @property
    def steps_per_loop(self) -> int:
        """Training steps in one session call: enough to make its fixed cost small beside them."""
        if self.strategy == "mirrored":  # its replicas cannot meet within a loop
            return 1
        return self.iterations_per_loop or max(1, min(200, architectures.images_per_call(self) // self.batch_size))

    def in_one_process(self) -> "Experiment":
        """Returns the experiment for a process that trains nothing, and so needs no other process."""
        return dataclasses.replace(self, strategy="none", replicas=0)

    def differences(self, other: "Experiment") -> List[str]:
        """Returns "--flag is A, not B" for each difference to `other` that changes what is learned."""
        names = [name for name in FIELDS if name not in MAY_CHANGE and getattr(self, name) != getattr(other, name)]
        if "preparation" in names and not (self.preparation and other.preparation):
            names.remove("preparation")  # an older experiment.json lacks it
        flags = [f"--{name} is {getattr(self, name)}, not {getattr(other, name)}" for name in names if name not in DATA]
        edited = [
            f"{file} was edited (its SHA-256 is {digest[:12]}..., not {other.user_code[file][:12]}...)"
            for file, digest in self.user_code.items()
            if other.user_code.get(file, digest) != digest
        ]
        return flags + edited or ["the data is not the same"] if names else []

    def write(self, model_dir: Path) -> None:
        """Writes model_dir/experiment.json atomically."""
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
            experiment = json_records.read(path, cls)
            user_code.know_copies(model_dir / user_code.FOLDER, experiment.user_code)
            return experiment
        except FileNotFoundError:
            return None
        except RemoteError:
            raise  # no fault of the file's content: the caller names the flag
        except (OSError, ValueError, InputError) as error:
            raise InputError(f"{path}: holds no experiment ({error}); --clean starts over") from error

    @classmethod
    def from_json(cls, values: Dict[str, Any]) -> "Experiment":
        """Returns the experiment of the values that `dataclasses.asdict` or experiment.json holds.

        Raises:
            RecordError: A key is missing (except those of LATER) or unknown, or a value has another type.
            InputError: A value is out of its range.
        """
        return json_records.build(values, cls)
