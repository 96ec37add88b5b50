"""A user's arrays, of an .npz file or in memory, and every way in which they can be wrong."""

import os
import re
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import pytest

import input_fns
from input_fns import InputError
from input_fns.sources import array_cache, arrays


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def noise(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)


def parts(train: int = 60, test: int = 20, shape: Any = (12, 10), classes: int = 4) -> Dict[str, np.ndarray]:
    return {
        "x_train": noise(train, *shape),
        "y_train": np.arange(train) % classes,
        "x_test": noise(test, *shape),
        "y_test": np.arange(test) % classes,
    }


def save(tmp_path: Path, **members: np.ndarray) -> Path:
    np.savez(tmp_path / "own.npz", **members)
    return tmp_path / "own.npz"


def decoded(path: Path, say: Any = lambda line: None, **request: Any) -> array_cache.Facts:
    return arrays.decoded(input_fns.Request(source="arrays", arrays=str(path), **request), say)


def split(facts: array_cache.Facts, name: str):
    return tuple(np.array(array_cache.read(facts.file(name, kind))) for kind in ("images", "labels"))


@pytest.mark.parametrize("shape", [(12, 10), (12, 10, 1), (32, 32, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint64, ">i2"])
def test_arrays_of_both_splits_are_taken_as_they_are(tmp_path, shape, dtype):
    own = parts(shape=shape)
    own.update(y_train=own["y_train"].astype(dtype)[:, np.newaxis], y_test=own["y_test"].astype(dtype))
    said: List[str] = []
    facts = decoded(save(tmp_path, **own), said.append)
    assert said == [f"Reading the arrays of {tmp_path / 'own.npz'}"]
    assert facts.image_shape == (*shape[:2], shape[2] if len(shape) == 3 else 1) and facts.class_names == tuple("0123")
    for name in ("train", "test"):
        images, labels = split(facts, name)
        assert images.dtype == np.uint8 and np.array_equal(images, own[f"x_{name}"].reshape(images.shape))
        assert labels.dtype == np.int32 and np.array_equal(labels, own[f"y_{name}"].reshape(-1))


def test_the_sample_in_an_npz_file_has_the_digest_of_the_sample(tmp_path, sample):
    train, test = sample.train.arrays(), sample.test.arrays()
    path = save(tmp_path, x_train=train[0][..., 0], y_train=train[1], x_test=test[0][..., 0], y_test=test[1])
    data = input_fns.find(input_fns.Request(arrays=str(path)))
    assert (data.source, data.dataset, data.preparation) == ("arrays", "own", "mnist")
    assert data.digest == sample.digest and data.class_names == sample.class_names


def test_without_a_test_split_a_stratified_one_is_cut_off(tmp_path):
    own = parts(train=100)
    path = save(tmp_path, x_train=own["x_train"], y_train=own["y_train"])
    facts = decoded(path, test_fraction=0.4)
    train, test = split(facts, "train"), split(facts, "test")
    assert np.bincount(train[1]).tolist() == [15] * 4 and np.bincount(test[1]).tolist() == [10] * 4
    both = {image.tobytes() for image in train[0]} | {image.tobytes() for image in test[0]}
    assert both == {image.tobytes() for image in own["x_train"]} and len(both) == 100
    assert decoded(path, test_fraction=0.2).examples == {"train": 80, "test": 20}
    with pytest.raises(InputError, match="--test_fraction 0"):
        decoded(path, test_fraction=0.0)


def test_three_hundred_classes_keep_their_labels(tmp_path):
    facts = decoded(save(tmp_path, **parts(train=900, test=600, classes=300)))
    assert facts.class_names == tuple(map(str, range(300)))
    assert np.array_equal(split(facts, "train")[1], np.arange(900) % 300)
    assert np.array_equal(split(facts, "test")[1], np.arange(600) % 300)


def test_training_examples_that_come_class_by_class_are_mixed(tmp_path):
    own = parts(train=80)
    own["y_train"] = np.sort(own["y_train"])
    images, labels = split(decoded(save(tmp_path, **own)), "train")
    assert np.bincount(labels[-8:]).tolist() == [2] * 4, "the end of the split can be held out for validation"
    label_of = {image.tobytes(): label for image, label in zip(own["x_train"], own["y_train"])}
    assert [label_of[image.tobytes()] for image in images] == labels.tolist() and len(label_of) == 80


def test_class_names_come_from_the_request_else_from_the_file(tmp_path):
    own = parts()
    named = save(tmp_path, class_names=np.array(["a", "é", "三", "d"]), **own)
    assert decoded(named).class_names == ("a", "é", "三", "d")
    assert decoded(named, class_names=("w", "x", "y", "z", "unused")).class_names == ("w", "x", "y", "z", "unused")
    assert decoded(save(tmp_path, class_names=np.array([b"a", b"b", b"c", b"d"]), **own)).class_names == tuple("abcd")


def test_images_are_resized(tmp_path):
    facts = decoded(save(tmp_path, **parts(shape=(12, 10, 3))), image_size="24x20")
    assert facts.image_shape == (24, 20, 3) and split(facts, "train")[0].any()


def test_a_changed_file_is_read_again_and_another_is_not(tmp_path, monkeypatch):
    path = save(tmp_path, **parts())
    first = decoded(path)
    monkeypatch.setattr(arrays, "_write", None)
    assert decoded(path) == first
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert decoded(path).made_from != first.made_from


OWN = parts()


def with_(**members: Any) -> Dict[str, np.ndarray]:
    return {**OWN, **members}


@pytest.mark.parametrize(
    "members, message",
    [
        (with_(x_train=OWN["x_train"] / np.float32(255)), r"x_train: holds float32.*\(x \* 255\).round\(\).astype"),
        (with_(x_train=OWN["x_train"].astype(float)), r"x_train: holds float64.*with x.round\(\).astype\('uint8'\)"),
        (with_(x_train=OWN["x_train"] / 127.5 - 1), "x_train: holds float64.* reach from -1 to 1: scale them"),
        (with_(x_test=OWN["x_test"].astype(np.int64)), r"x_test: holds int64.*convert them with x.astype\('uint8'\)"),
        (with_(x_train=OWN["x_train"].astype(np.int32) * 9), "x_train: holds int32.*reach from 0 to 2295: scale them"),
        (with_(x_train=OWN["x_train"] > 9), r"x_train: holds bool.*x.astype\('uint8'\) \* 255"),
        (with_(x_train=OWN["x_train"].reshape(60, -1)), r"x_train: has shape \[60, 120\], not \[n, height, width\]"),
        (with_(x_train=noise(60, 784)), r"x_train: has shape \[60, 784\].*convert it with x.reshape\(-1, 28, 28\)"),
        (with_(x_train=noise(60, 3, 32, 32)), r"x_train: has shape .*x.transpose\(0, 2, 3, 1\)"),
        (with_(x_train=noise(60, 32, 32, 4)), r"x_train: has shape .*opacity, leave it out with x\[..., :3\]"),
        (with_(x_train=noise(0, 12, 10), y_train=np.zeros(0, int)), "x_train: has shape .* at least one image"),
        (with_(y_train=np.eye(4, dtype=int)[OWN["y_train"]]), r"y_train: has shape \[60, 4\].*argmax\(axis=1\)"),
        (with_(y_train=OWN["y_train"].astype(float)), "y_train: holds float64, and labels are integers.*numpy.unique"),
        (with_(y_train=OWN["y_train"].astype(str)), "y_train: holds <U.*numpy.unique"),
        (with_(y_train=OWN["y_train"] == 1), "y_train: holds bool"),
        (with_(y_train=OWN["y_train"][:-1]), "y_train: 59 labels for the 60 images of .*x_train"),
        (with_(y_test=OWN["y_test"] - 1), "y_test: holds the label -1; labels are integers from 0 on"),
        (with_(y_train=OWN["y_train"] + 1), "y_train: holds the label 4 and no 0; number the classes from 0 on"),
        (with_(y_train=OWN["y_train"] * 2), r"y_train: holds the label 6 and no 1; .*return_inverse=True\)\[1\]"),
        (with_(y_train=OWN["y_train"] + 2**40), "y_train: holds the label 1099511627779"),
        (with_(y_test=OWN["y_test"] + 1), "y_test: holds the label 4, and .*y_train ends at 3"),
        (with_(x_test=noise(20, 14, 14)), r"x_test: has images of shape \[14, 14, 1\], and .*x_train of \[12, 10, 1\]"),
        (with_(x_train=OWN["x_train"].astype(object)), "x_train holds Python objects; store a plain array"),
        (with_(class_names=np.array(["a", "b"])), "y_train: holds the label 3, and there are 2 class names"),
        (with_(class_names=np.arange(4)), r"class_names: is int64 \[4\]; it must be a list of text"),
        (with_(class_names=np.array([b"\xff"] * 4)), "class_names: holds a name that is not UTF-8"),
        ({"x_train": OWN["x_train"]}, "holds no y_train, but x_train; it must hold x_train, y_train, and"),
        ({name: OWN[name] for name in ("x_train", "y_train", "y_test")}, "holds no x_test, but"),
        ({"images": OWN["x_train"]}, "holds no x_train, but images"),
    ],
)
def test_arrays_that_are_wrong_say_what_would_be_right(tmp_path, cache, members, message):
    path = save(tmp_path, **members)
    with pytest.raises(InputError, match=rf"--arrays {re.escape(str(path))}: {message}") as caught:
        decoded(path)
    assert "\n" not in str(caught.value) and not list(cache.glob("estimator_mnist/*/*"))


def test_what_is_no_npz_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"--arrays .*none\.npz: there is no such file"):
        decoded(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("x_train")
    with pytest.raises(InputError, match=r"--arrays .*text\.npz: is not an .npz file; write one with numpy.savez"):
        decoded(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", OWN["x_train"])
    with pytest.raises(InputError, match=r"--arrays .*one\.npy: is not an .npz file"):
        decoded(tmp_path / "one.npy")
    with pytest.raises(InputError, match=r"--arrays .*: is a folder that holds no arrays of Python's"):
        decoded(tmp_path)
    with pytest.raises(InputError, match="--arrays: not given"):
        arrays.decoded(input_fns.Request(source="arrays"), print)


def test_a_cut_or_flipped_file_is_named(tmp_path):
    path = save(tmp_path, **parts(train=600))
    whole = path.read_bytes()
    path.write_bytes(whole[:-200])
    with pytest.raises(InputError, match=f"--arrays {path}: (is not an .npz file|cannot be read)"):
        decoded(path)
    path.write_bytes(whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:])
    with pytest.raises(InputError, match=f"--arrays {path}: x_train cannot be read .*Bad CRC-32.*write the file again"):
        decoded(path)


# In memory.


def test_arrays_in_memory_are_stored_once_and_found_again_by_their_folder(monkeypatch):
    train, test = (OWN["x_train"], OWN["y_train"]), (OWN["x_test"].tolist(), OWN["y_test"].tolist())
    facts = arrays.from_memory(train, (OWN["x_test"], OWN["y_test"]), ["a", "b", "c", "d"])
    assert facts.examples == {"train": 60, "test": 20} and facts.class_names == tuple("abcd")
    assert np.array_equal(split(facts, "test")[0][..., 0], OWN["x_test"])
    with pytest.raises(InputError, match="the test images: holds int64"):
        arrays.from_memory(train, test)
    again = decoded(facts.folder)
    assert again == facts
    data = input_fns.find(input_fns.Request(arrays=str(facts.folder)))
    assert data.train.examples == 60 and data.class_names == tuple("abcd")
    assert decoded(facts.folder, class_names=("w", "x", "y", "z")).class_names == tuple("wxyz")
    for wrong, message in (({"class_names": ("w",)}, "1 names for 4 classes"), ({"image_size": "9"}, "have 12x10")):
        with pytest.raises(InputError, match=message):
            decoded(facts.folder, **wrong)
    monkeypatch.setattr(arrays, "_write", None)
    assert arrays.from_memory(train, (OWN["x_test"], OWN["y_test"]), ["a", "b", "c", "d"]) == facts


def test_every_difference_of_arrays_in_memory_is_another_data_set():
    images, labels = OWN["x_train"], OWN["y_train"]
    changed = images.copy()
    changed[7, 3, 3] ^= 1
    made = [
        arrays.from_memory((images, labels)),
        arrays.from_memory((changed, labels)),
        arrays.from_memory((images, (labels + 1) % 4)),
        arrays.from_memory((images.reshape(60, 10, 12), labels)),
        arrays.from_memory((images, labels), class_names=list("wxyz")),
        arrays.from_memory((images, labels), test_fraction=0.3),
        arrays.from_memory((images, labels), (images, labels)),
        arrays.from_memory((images, labels), size=(8, 9)),
    ]
    assert len({facts.folder for facts in made}) == len(made)
    assert arrays.from_memory((images.copy(order="F"), labels.astype(np.uint8))).folder == made[0].folder


def test_a_damaged_folder_of_arrays_is_named():
    facts = arrays.from_memory((OWN["x_train"], OWN["y_train"]))
    content = bytearray(facts.file("train", "images").read_bytes())
    content[-1] ^= 1
    facts.file("train", "images").write_bytes(content)
    with pytest.raises(InputError, match=f"--arrays {facts.folder}: is a folder that holds .*damaged"):
        decoded(facts.folder)


@pytest.mark.parametrize("train", [OWN["x_train"], (OWN["x_train"],), 5, None])
def test_what_is_no_pair_of_arrays_is_named(train):
    with pytest.raises(InputError, match=r"the training (data: must be a pair of arrays|images: )"):
        arrays.from_memory(train)
