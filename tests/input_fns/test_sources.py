"""Finding data in TFDS, IDX files and the sample, and every way in which they can be wrong."""

import gzip
import json
import resource
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from support import DATA_DIR

import input_fns
from input_fns import InputError, Request
from input_fns.sources import idx, tfds_source


def write_idx(folder: Path, train: int = 30, test: int = 20, **damage: bytes) -> Path:
    """Writes four small IDX files; `damage` replaces the content of "train_images" and the like."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for (split, kind), name in idx.FILE_NAMES.items():
        count = {"train": train, "test": test}[split]
        array = rng.integers(0, 256, (count, 28, 28)) if kind == "images" else np.arange(count) % 10
        content = damage.get(f"{split}_{kind}", idx.to_bytes(array.astype(np.uint8)))
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def prepared_copy(mnist, tmp_path: Path) -> Path:
    """A private TFDS folder with MNIST in it, which a test may damage."""
    # As TFDS leaves it: without the cache that an earlier run wrote beside the data if it could.
    leave_out = shutil.ignore_patterns("estimator_mnist_cache*")
    shutil.copytree(DATA_DIR / "mnist" / "3.0.1", tmp_path / "tfds" / "mnist" / "3.0.1", ignore=leave_out)
    for path in [tmp_path / "tfds" / "mnist" / "3.0.1", *(tmp_path / "tfds" / "mnist" / "3.0.1").iterdir()]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    return tmp_path / "tfds"


def test_tfds_gives_counts_classes_and_description(mnist, fashion_mnist):
    assert (mnist.train.examples, mnist.test.examples) == (60_000, 10_000)
    assert mnist.image_shape == mnist.test.image_shape == (28, 28, 1)
    assert mnist.class_names == tuple("0123456789") and "handwritten digits" in mnist.description
    assert fashion_mnist.class_names[0] == "T-shirt/top" and fashion_mnist.class_names[9] == "Ankle boot"
    assert mnist.digest != fashion_mnist.digest


def test_the_sample_is_stratified_and_disjoint(sample):
    train_images, train_labels = sample.train.arrays()
    test_images, test_labels = sample.test.arrays()
    assert np.bincount(train_labels).tolist() == [400] * 10 and np.bincount(test_labels).tolist() == [100] * 10
    assert not {image.tobytes() for image in train_images} & {image.tobytes() for image in test_images}
    assert sorted(set(train_labels[:10])) == list(range(10)), "classes come in turn, for small shuffle buffers"


def test_the_digits_of_the_sample_are_of_mnist(sample, mnist):
    all_of_mnist = {image.tobytes() for image in mnist.train.arrays()[0]}
    all_of_mnist |= {image.tobytes() for image in mnist.test.arrays()[0]}
    for split in (sample.train, sample.test):
        assert all(image.tobytes() in all_of_mnist for image in split.arrays()[0])


def test_auto_falls_back_to_the_sample_and_says_so_in_one_line(tmp_path, offline):
    lines = []
    data = input_fns.find(Request("mnist", "auto", data_dir=str(tmp_path)), lines.append)
    assert data.source == "sample" and len(lines) == 1 and "\n" not in lines[0] and "sample" in lines[0]


def test_only_mnist_has_a_sample(tmp_path, offline):
    with pytest.raises(InputError, match=r"fashion_mnist is not prepared in .* and its host does not answer"):
        input_fns.find(Request("fashion_mnist", "auto", data_dir=str(tmp_path)))
    with pytest.raises(InputError, match="--source sample: holds digits of mnist"):
        input_fns.find(Request("fashion_mnist", "sample"))


@pytest.mark.parametrize(
    "dataset, message",
    [
        ("no_such_data", "--dataset no_such_data: TFDS cannot open it"),
        ("imdb_reviews", "--dataset imdb_reviews: has no image"),
        ("celeb_a", "--dataset celeb_a: has no class label"),
        ("oxford_iiit_pet", "--dataset oxford_iiit_pet: its images have several sizes; .* with --image_size"),
    ],
)
def test_a_data_set_of_other_than_images_and_classes_is_refused(tmp_path, dataset, message):
    with pytest.raises(InputError, match=message):
        input_fns.find(Request(dataset, "tfds", data_dir=str(tmp_path)))


@pytest.mark.parametrize("dataset", ["cifar10", "svhn_cropped", "emnist/letters", "kmnist"])
def test_data_sets_of_images_and_classes_are_looked_for(tmp_path, offline, dataset):
    with pytest.raises(InputError, match=f"{dataset} is not prepared in .* and its host does not answer"):
        input_fns.find(Request(dataset, "tfds", data_dir=str(tmp_path)))


def test_decoded_data_is_cached_beside_the_prepared_data(prepared_copy):
    first = input_fns.find(Request("mnist", "tfds", data_dir=str(prepared_copy)))
    cached = first.train.images
    assert prepared_copy in cached.parents
    before = cached.stat().st_mtime_ns
    assert input_fns.find(Request("mnist", "tfds", data_dir=str(prepared_copy))) == first
    assert cached.stat().st_mtime_ns == before


def test_a_damaged_cache_is_replaced(prepared_copy):
    first = input_fns.find(Request("mnist", "tfds", data_dir=str(prepared_copy)))
    good = first.train.images.read_bytes()
    first.train.images.write_bytes(good[:-1] + b"\xff")
    assert input_fns.find(Request("mnist", "tfds", data_dir=str(prepared_copy))).train.images.read_bytes() == good
    assert len(list(first.train.images.parent.parent.glob("estimator_mnist_cache*"))) == 1, "nothing is left beside it"


def test_a_read_only_data_set_is_kept_in_the_user_s_cache(prepared_copy, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (prepared_copy / "mnist" / "3.0.1").chmod(0o555)
    data = input_fns.find(Request("mnist", "tfds", data_dir=str(prepared_copy)))
    assert tmp_path / "cache" in data.train.images.parents
    assert not list((prepared_copy / "mnist" / "3.0.1").glob("estimator_mnist_cache*"))


def test_a_truncated_tfrecord_is_named(prepared_copy):
    path = prepared_copy / "mnist" / "3.0.1" / "mnist-train.tfrecord-00000-of-00001"
    with open(path, "r+b") as file:
        file.truncate(1_000_000)
    for stream in (False, True):
        with pytest.raises(InputError, match=rf"{path}: the train split has 1,000,000 bytes where .* promises"):
            input_fns.find(Request("mnist", "tfds", data_dir=str(prepared_copy), stream=stream))


def test_a_flipped_byte_in_a_tfrecord_is_named_and_leaves_no_cache(prepared_copy):
    folder = prepared_copy / "mnist" / "3.0.1"
    with open(folder / "mnist-test.tfrecord-00000-of-00001", "r+b") as file:
        file.seek(2_000_000)
        byte = file.read(1)[0]
        file.seek(2_000_000)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(InputError, match=rf"{folder}: the test split cannot be read \(.*corrupted record"):
        input_fns.find(Request("mnist", "tfds", data_dir=str(prepared_copy)))
    assert not list(folder.glob("estimator_mnist_cache*"))


def test_decoding_without_room_on_the_disk_is_one_line_and_leaves_no_cache(prepared_copy):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000_000, hard))  # bytes; the training images need 47 million
    try:
        with pytest.raises(InputError, match=r"the decoded data cannot be written there .*XDG_CACHE_HOME") as caught:
            input_fns.find(Request("mnist", "tfds", data_dir=str(prepared_copy)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert "\n" not in str(caught.value) and not list(prepared_copy.rglob("estimator_mnist_cache*"))


def test_version_folders_are_compared_as_numbers(tmp_path):
    for version in ("3.0.1", "3.0.10", "3.0.9"):
        (tmp_path / "mnist" / version).mkdir(parents=True)
        (tmp_path / "mnist" / version / "dataset_info.json").write_text(json.dumps({}))
    (tmp_path / "mnist" / "4.0.0.incompleteABC").mkdir()  # what a killed preparation leaves
    assert tfds_source.version_folder("mnist", tmp_path).name == "3.0.10"


def test_idx_files_are_found_plain_and_gzipped(tmp_path):
    folder = write_idx(tmp_path / "idx")
    plain = input_fns.find(Request("mnist", "idx", idx_dir=str(folder)))
    assert (plain.source, plain.train.examples, plain.test.examples) == ("idx", 30, 20)
    for name in idx.FILE_NAMES.values():
        (folder / f"{name}.gz").write_bytes(gzip.compress((folder / name).read_bytes()))
        (folder / name).unlink()
    zipped = input_fns.find(Request("mnist", "auto", idx_dir=str(folder)))
    assert zipped.digest == plain.digest
    images, labels = plain.train.arrays()
    assert images.shape == (30, 28, 28, 1) and labels.tolist() == 3 * list(range(10))


def test_idx_files_of_any_size_are_taken_and_resized(tmp_path):
    shapes = {
        "train_images": idx.to_bytes(np.full((30, 9, 13), 7, np.uint8)),
        "test_images": idx.to_bytes(np.full((20, 9, 13), 8, np.uint8)),
    }
    folder = write_idx(tmp_path / "idx", **shapes)
    data = input_fns.find(Request("mine", "idx", idx_dir=str(folder), class_names=(*"abcdefghi", "é")))
    assert data.image_shape == (9, 13, 1) and data.class_names[9] == "é" and data.dataset == "mine"
    resized = input_fns.find(Request("mine", "idx", idx_dir=str(folder), image_size="18x20"))
    assert resized.image_shape == (18, 20, 1) and resized.class_names == tuple("0123456789")
    assert np.all(resized.train.arrays()[0] == 7) and np.all(resized.test.arrays()[0] == 8)
    assert np.all(data.test.arrays()[0] == 8), "each size has a cache of its own"


def test_other_idx_files_in_the_same_folder_are_other_data(tmp_path):
    folder = write_idx(tmp_path / "idx")
    first = input_fns.find(Request(source="idx", idx_dir=str(folder)))
    write_idx(folder, train_images=idx.to_bytes(np.zeros((30, 28, 28), np.uint8)))
    second = input_fns.find(Request(source="idx", idx_dir=str(folder)))
    assert second.digest != first.digest and not second.train.arrays()[0].any()


@pytest.mark.parametrize("other", [{"image_dir": "b"}, {"arrays": "b"}])
def test_two_places_at_once_are_refused(other):
    with pytest.raises(InputError, match="given together with --idx_dir"):
        input_fns.find(Request(idx_dir="a", **other))


@pytest.mark.parametrize("size", ["", "0", "x", "5x", "-3", "9999999", "4x5x6", "1.5"])
def test_an_impossible_image_size_is_refused(size):
    with pytest.raises(InputError, match=f"--image_size {size}: must be H or HxW"):
        input_fns.find(Request(source="sample", image_size=size))


IMAGES = idx.to_bytes(np.zeros((30, 28, 28), np.uint8))
LABELS = idx.to_bytes(np.zeros(30, np.uint8))


@pytest.mark.parametrize(
    "damage, message",
    [
        ({"train_images": IMAGES[:-1]}, "train-images.* has 23,535 bytes where its header promises 23,536"),
        ({"train_images": IMAGES + b"0"}, "has 23,537 bytes where its header promises 23,536"),
        ({"train_images": b""}, "train-images.* is not an IDX file of images"),
        ({"train_images": LABELS}, "train-images.* is not an IDX file of images"),
        ({"train_labels": IMAGES}, "train-labels.* is not an IDX file of labels"),
        ({"test_images": b"\x1f\x8b" + b"junk" * 9}, "t10k-images.*: cannot be read"),
        ({"test_images": gzip.compress(IMAGES)[:-9]}, "t10k-images.*: cannot be read"),
        (
            {"train_labels": LABELS[:8] + b"\x0a" * 30},
            "train-labels.*: holds the label 10; mnist has the labels 0 to 9",
        ),
        ({"test_labels": LABELS}, "t10k-labels.*: 30 labels for the 20 images"),
        (
            {"train_images": struct.pack(">4i", 0x803, 30, 32, 32) + bytes(30 * 1024)},
            "t10k-images.*: its images are 28x28, those of train-images-idx3-ubyte are 32x32",
        ),
        ({"train_images": struct.pack(">4i", 0x803, -1, 28, 28)}, "where its header promises"),
        (
            {"train_images": struct.pack(">4i", 0x803, 0, 28, 28), "train_labels": struct.pack(">2i", 0x801, 0)},
            "holds no",
        ),
    ],
)
def test_damaged_idx_files_are_named(tmp_path, damage, message):
    folder = write_idx(tmp_path / "idx", **damage)
    with pytest.raises(InputError, match=message) as caught:
        input_fns.find(Request("mnist", "idx", idx_dir=str(folder)))
    assert "\n" not in str(caught.value)


def test_missing_idx_files_are_named(tmp_path):
    folder = write_idx(tmp_path / "idx")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match=r"--idx_dir .*: holds no t10k-labels-idx1-ubyte or"):
        input_fns.find(Request("mnist", "idx", idx_dir=str(folder)))
    with pytest.raises(InputError, match=r"--idx_dir .*: is not a folder"):
        input_fns.find(Request("mnist", "idx", idx_dir=str(tmp_path / "none")))
    with pytest.raises(InputError, match="--idx_dir: not given"):
        input_fns.find(Request("mnist", "idx"))
