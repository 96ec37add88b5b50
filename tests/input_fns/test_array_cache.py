"""The cache of decoded data: any shape, any label, checked when it is opened and replaced whole."""

from pathlib import Path
from typing import List, Tuple

import numpy as np
import pytest

from input_fns import InputError
from input_fns.sources import array_cache, stratified
from input_fns.sources.array_cache import Writer
from input_fns.sources.preparation import preparation_of

CLASSES = [f"class {number} – é" for number in range(300)]


class Source:
    """Colour images of 9x7 pixels with labels up to 299, and how often they were decoded."""

    def __init__(self) -> None:
        self.images = np.random.default_rng(0).integers(0, 256, (600, 9, 7, 3), np.uint8)
        self.labels = np.arange(600) % 300
        self.calls = 0

    def make(self, writer: Writer) -> Tuple[List[str], str]:
        self.calls += 1
        for name, chosen in (("train", slice(0, 500)), ("test", slice(500, 600))):
            images, labels = writer.split(name, len(self.labels[chosen]), (9, 7, 3))
            images[:], labels[:] = self.images[chosen], self.labels[chosen]
        return CLASSES, "noise"


def test_any_shape_and_labels_above_255_are_kept(tmp_path):
    source = Source()
    facts = array_cache.open_or_make(tmp_path / "cache", ["noise", 1], source.make)
    assert facts == array_cache.open_or_make(tmp_path / "cache", ["noise", 1], source.make) and source.calls == 1
    assert facts.examples == {"train": 500, "test": 100} and facts.image_shape == (9, 7, 3)
    assert facts.class_names == tuple(CLASSES) and facts.preparation == "resize"
    images, labels = (array_cache.read(facts.file("train", kind)) for kind in ("images", "labels"))
    assert images.dtype == np.uint8 and np.array_equal(images, source.images[:500])
    assert labels.dtype == np.int32 and labels[270] == 270 and np.array_equal(labels, source.labels[:500])


def test_arrays_are_mapped_read_only_and_aligned_for_tensorflow(tmp_path):
    facts = array_cache.open_or_make(tmp_path / "cache", 1, Source().make)
    for name in facts.crc32:
        array = array_cache.read(facts.folder / name)
        assert array.ctypes.data % 64 == 0 and not array.flags.writeable and not array.flags.owndata


def damage_end(folder: Path) -> None:
    path = folder / "test-images.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def truncate(folder: Path) -> None:
    path = folder / "train-labels.npy"
    path.write_bytes(path.read_bytes()[:-4])


def test_a_damaged_or_outdated_cache_is_replaced_whole(tmp_path):
    source, folder = Source(), tmp_path / "cache"
    facts = array_cache.open_or_make(folder, 1, source.make)
    damages = [
        damage_end,
        truncate,
        lambda folder: (folder / "train-images.npy").unlink(),
        lambda folder: (folder / array_cache.FACTS).write_text('{"made_from": '),
        lambda folder: (folder / array_cache.FACTS).write_text("{}"),
    ]
    for calls, damage in enumerate(damages, start=2):
        damage(folder)
        assert array_cache.open_or_make(folder, 1, source.make) == facts and source.calls == calls
        assert np.array_equal(array_cache.read(facts.file("test", "images")), source.images[500:])
    source.images = source.images[::-1]
    newer = array_cache.open_or_make(folder, 2, source.make)
    assert newer.crc32 != facts.crc32 and newer.idx_crc32 != facts.idx_crc32
    assert [path.name for path in tmp_path.iterdir()] == ["cache"], "nothing is left beside it"


def test_what_could_not_be_made_leaves_nothing(tmp_path):
    def broken(writer: Writer) -> Tuple[List[str], str]:
        writer.split("train", 10, (9, 7, 3))
        raise InputError("the original is damaged")

    with pytest.raises(InputError, match="the original is damaged"):
        array_cache.open_or_make(tmp_path / "cache", 1, broken)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_deleted_and_what_another_is_writing_is_not(tmp_path):
    folder = tmp_path / "cache"
    (tmp_path / "cache.new-abc").mkdir()
    (tmp_path / "cache.new-abc" / "train-images.npy").write_bytes(b"half of it")
    (tmp_path / "cache.new-abc.old").mkdir()

    def make_while_another_does(writer: Writer) -> Tuple[List[str], str]:
        array_cache.open_or_make(folder, 1, Source().make)
        assert writer.folder.is_dir()
        return Source().make(writer)

    facts = array_cache.open_or_make(folder, 1, make_while_another_does)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert array_cache.load(folder, 1) == facts


def test_a_disk_without_room_is_one_line(tmp_path):
    def too_large(writer: Writer) -> Tuple[List[str], str]:
        writer.split("train", 2**30, (2**14, 2**14, 3))  # an exabyte
        return [], ""

    with pytest.raises(InputError, match=rf"{tmp_path / 'cache'}: the decoded data cannot be written there") as caught:
        array_cache.open_or_make(tmp_path / "cache", 1, too_large)
    assert "XDG_CACHE_HOME" in str(caught.value) and not list(tmp_path.iterdir())


def test_a_test_split_is_cut_from_every_class():
    labels = np.repeat([3, 0, 2, 1], [1, 100, 2, 41])
    train, test = stratified.train_and_test(labels, 0.2)
    assert np.bincount(labels[train]).tolist() == [80, 33, 1, 1] and np.bincount(labels[test]).tolist() == [20, 8, 1]
    assert sorted([*train, *test]) == list(range(len(labels)))
    assert all(
        np.array_equal(part, again) for part, again in zip((train, test), stratified.train_and_test(labels, 0.2))
    )
    assert np.any(np.diff(test[labels[test] == 0]) > 1), "not the end of the class"
    with pytest.raises(InputError, match="--test_fraction 1: must be between"):
        stratified.train_and_test(labels, 1)
    with pytest.raises(InputError, match="no class has two examples"):
        stratified.train_and_test(np.arange(5), 0.5)


def test_the_preparation_is_found_in_the_pixels(sample, fashion_mnist):
    digits, _ = sample.train.arrays()
    assert sample.preparation == preparation_of(digits) == "mnist"
    assert fashion_mnist.preparation == preparation_of(fashion_mnist.test.arrays()[0]) == "fit"
    assert preparation_of(np.roll(digits, 3, axis=1)) == "fit", "off the centre"
    assert preparation_of(digits[:, 3:25, 3:25]) == "fit", "larger in their image"
    assert preparation_of(np.pad(digits, ((0, 0), (6, 6), (6, 6), (0, 0)))) == "fit", "smaller in their image"
    assert preparation_of(255 - digits) == "resize", "dark on light"
    assert preparation_of(digits.repeat(3, axis=3)) == "resize", "colour"
    odd = digits.copy()
    odd[::50] = 255
    assert preparation_of(odd) == "mnist", "a few odd ones do not matter"
