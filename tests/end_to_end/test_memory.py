"""Memory does not grow with the data: files are read in parts, and decoded splits are mapped."""

import gzip
import tracemalloc
from pathlib import Path
from typing import Callable

import numpy as np
import pytest

import input_fns
from input_fns import InputError
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


def test_decoding_a_data_set_and_opening_it_again_need_constant_memory(split, tmp_path):
    for (_, kind), file in idx.FILE_NAMES.items():
        (tmp_path / file).symlink_to(split[0 if kind == "images" else 1])
    request = input_fns.Request("mnist", "idx", idx_dir=str(tmp_path))
    assert EXAMPLES * 784 > 3 * SLACK
    for _ in range(2):
        assert peak(lambda: input_fns.find(request)) < SLACK
    assert peak(lambda: input_fns.find(request).train.arrays()) < SLACK


def test_a_file_truncated_after_its_check_is_one_line(split):
    data = split[0].read_bytes()
    split[0].write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"images: cannot be read|images: has become shorter"):
        list(idx.parts(split[0], "images", (EXAMPLES, 28, 28)))
