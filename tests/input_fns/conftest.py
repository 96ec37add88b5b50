"""Splits of any shape."""

from pathlib import Path
from typing import Callable

import numpy as np
import pytest

import input_fns


@pytest.fixture
def synthetic(tmp_path: Path) -> Callable[..., input_fns.Split]:
    """Writes random images of a height and width, with labels from 0 on in turn, and returns their split."""

    def write(height: int, width: int, channels: int = 1, examples: int = 100, classes: int = 10) -> input_fns.Split:
        shape = (height, width, channels)
        np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (examples, *shape), np.uint8))
        np.save(tmp_path / "labels.npy", (np.arange(examples) % classes).astype(np.int32))
        return input_fns.Split("train", examples, shape, tmp_path / "images.npy", tmp_path / "labels.npy")

    return write
