"""predictions.npz: the class probabilities of every evaluated example, for comparisons of runs."""

import io
import zipfile
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

from estimator_mnist.system.paths import replace_file

FILE_NAME = "predictions.npz"


class Predictions(NamedTuple):
    labels: np.ndarray  # int32 [n], in the order of the split
    probabilities: np.ndarray  # float32 [n, classes]


def write(predicted: Predictions, model_dir: Path) -> None:
    """Writes model_dir/predictions.npz atomically."""
    buffer = io.BytesIO()
    np.savez(buffer, labels=predicted.labels, probabilities=predicted.probabilities)
    replace_file(model_dir / FILE_NAME, buffer.getvalue())


def read(model_dir: Path) -> Optional[Predictions]:
    """Returns the predictions of a run, None if there are none or the file is corrupt: `report` writes it again."""
    try:
        with np.load(io.BytesIO((model_dir / FILE_NAME).read_bytes())) as arrays:
            return Predictions(arrays["labels"], arrays["probabilities"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
