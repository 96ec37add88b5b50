"""Splits of shapes that no source offers yet."""

from pathlib import Path
from typing import Callable

import numpy as np
import pytest

import input_fns
from input_fns.sources import idx


@pytest.fixture
def synthetic(tmp_path: Path) -> Callable[..., input_fns.Split]:
    """Writes random images of a height and width, with labels 0 to 9 in turn, and returns their split."""

    def write(height: int, width: int, examples: int = 100) -> input_fns.Split:
        images = np.random.default_rng(0).integers(0, 256, (examples, height, width), np.uint8)
        (tmp_path / "images").write_bytes(idx.to_bytes(images))
        (tmp_path / "labels").write_bytes(idx.to_bytes((np.arange(examples) % 10).astype(np.uint8)))
        return input_fns.Split("train", examples, (height, width, 1), tmp_path / "images", tmp_path / "labels")

    return write
