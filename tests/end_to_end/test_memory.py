"""Memory grows no faster than the data: one copy of a split where all of it is needed, otherwise constant."""

import gzip
import tracemalloc
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

from input_fns.sources import idx

EXAMPLES = 20_000
SLACK = 4 << 20  # bytes in addition to the array: chunks, gzip's window


@pytest.fixture(params=["plain", "gzipped"])
def split(request, tmp_path: Path) -> "tuple[Path, Path]":
    images = np.random.default_rng(0).integers(0, 256, (EXAMPLES, 28, 28)).astype(np.uint8)
    labels = (np.arange(EXAMPLES) % 10).astype(np.uint8)
    pack = {"plain": bytes, "gzipped": lambda data: gzip.compress(data, 1)}[request.param]
    (tmp_path / "images").write_bytes(pack(idx.to_bytes(images)))
    (tmp_path / "labels").write_bytes(pack(idx.to_bytes(labels)))
    return tmp_path / "images", tmp_path / "labels"


def peak(work: Callable[[], object]) -> int:
    """Returns the most bytes that Python and NumPy held at a time."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_checking_a_split_needs_constant_memory(split):
    assert peak(lambda: idx.check_split(*split)) < SLACK
    assert peak(lambda: idx.checksum_of(split[0])) < SLACK


def test_reading_a_split_needs_one_copy_of_it(split):
    assert EXAMPLES * 784 < peak(lambda: idx.read_split(*split)) < EXAMPLES * 785 + SLACK


def test_a_split_is_aligned_so_that_tensorflow_needs_no_copy(split):
    array = idx.read(split[0], "images", EXAMPLES * 784)
    assert array.ctypes.data % idx.ALIGNMENT == 0


def test_a_file_truncated_after_its_check_is_an_error(split):
    data = split[0].read_bytes()
    split[0].write_bytes(data[: len(data) // 2])
    with pytest.raises((OSError, EOFError)):
        idx.read(split[0], "images", EXAMPLES * 784)
