"""What em.data takes, and what a run keeps of it."""

from pathlib import Path
from typing import Tuple

import numpy as np
import pytest
from PIL import Image

import estimator_mnist as em
import input_fns

Arrays = Tuple[np.ndarray, np.ndarray]


def arrays(examples: int = 60, seed: int = 0) -> Arrays:
    """Returns images, uint8 [n, 8, 9], that are not alike, and labels of three classes."""
    images = np.random.default_rng(seed).integers(0, 256, [examples, 8, 9]).astype(np.uint8)
    return images, np.arange(examples) % 3


def fill(folder: Path, split: str = "", examples: int = 6) -> None:
    """Writes pictures of two classes."""
    images, _ = arrays(2 * examples, seed=len(split))
    for number, image in enumerate(images):
        path = folder / split / ("cat", "dog")[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def test_a_name_is_a_data_set(sample):
    data = em.data("sample")
    assert (data.train.examples, data.test.examples) == (4000, 1000)
    assert data.digest == sample.digest and data.class_names == tuple("0123456789")
    assert em.data("sample", validation_size=500).train.examples == 3500


def test_a_name_of_tfds_is_one_even_where_a_folder_has_it(mnist, tmp_path, monkeypatch):
    fill(tmp_path / "mnist")
    monkeypatch.chdir(tmp_path)
    assert em.data("mnist", verbose=False).digest == mnist.digest
    assert em.data(Path("mnist"), verbose=False).class_names == ("cat", "dog")


def test_arrays_are_data_whose_test_split_is_cut_off_or_given():
    data = em.data(arrays(), class_names=["x", "y", "z"])
    assert (data.train.examples, data.test.examples) == (48, 12)
    assert data.image_shape == (8, 9, 1) and data.class_names == ("x", "y", "z")
    split = em.data(arrays(), test=arrays(30, seed=1))
    assert (split.train.examples, split.test.examples) == (60, 30)
    images, labels = split.test.arrays()
    assert np.array_equal(images[..., 0], arrays(30, seed=1)[0]) and np.array_equal(labels, arrays(30)[1])
    assert em.data((arrays(), arrays(30, seed=1))).digest == split.digest  # as Keras's load_data returns them


@pytest.mark.parametrize("size", [4, "4", "4x4", (4, 4)])
def test_images_are_resized(size):
    assert em.data(arrays(), image_size=size).image_shape == (4, 4, 1)


def test_a_file_of_arrays_is_data(tmp_path):
    (x_train, y_train), (x_test, y_test) = arrays(), arrays(30, seed=1)
    np.savez(tmp_path / "my.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    data = em.data(str(tmp_path / "my.npz"), class_names="abc", verbose=False)
    assert (data.dataset, data.test.examples, data.class_names) == ("my", 30, ("a", "b", "c"))


def test_a_folder_is_data_and_so_are_its_train_and_test_folders(tmp_path):
    fill(tmp_path / "pets", "train")
    fill(tmp_path / "pets", "test", examples=3)
    whole = em.data(tmp_path / "pets", verbose=False)
    parts = em.data(str(tmp_path / "pets" / "train"), test=tmp_path / "pets" / "test", verbose=False)
    assert whole.digest == parts.digest and (whole.train.examples, whole.test.examples) == (12, 6)
    assert whole.dataset == "pets"


def test_a_remark_is_printed_only_where_it_is_wanted(tmp_path, capfd):
    fill(tmp_path / "quiet")
    em.data(tmp_path / "quiet", verbose=False)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "source, more, named",
    [
        (3, {}, "data: is of type int"),
        ("", {}, "data: is an empty text"),
        ("sample", {"validation_size": 2.5}, "validation_size: is 2.5; it must be a whole number"),
        ("sample", {"validation_size": "100"}, "validation_size: is '100'; it must be a whole number"),
        ("nowhere.npz", {}, "nowhere.npz: there is no such file"),
        ("sample", {"test": arrays()}, "test: given with sample"),
        ("sample", {"class_names": ["a"]}, "class_names: only arrays and IDX files take them"),
        ("sample", {"validation_size": 4000}, "--validation_size: 4000 is not possible"),
        (arrays(), {"test": "folder"}, "test: is of type str; with arrays"),
        (arrays(), {"class_names": ["a", "b"]}, "holds the label 2, and there are 2 class names"),
        (arrays(), {"image_size": "large"}, "--image_size large: must be H or HxW"),
        ((1, 2, 3), {}, "the training data: must be a pair of arrays"),
        ((arrays()[0].astype(float) * 300, arrays()[1]), {}, "the training images"),
    ],
)
def test_what_is_no_data_is_said_in_one_line(source, more, named):
    with pytest.raises(em.InputError, match=named):
        em.data(source, **more)


def test_a_test_folder_elsewhere_is_refused(tmp_path):
    fill(tmp_path / "a")
    fill(tmp_path / "b")
    with pytest.raises(em.InputError, match="must be DIR/test where the training images are in DIR/train"):
        em.data(tmp_path / "a", test=tmp_path / "b")


def test_a_run_on_arrays_finds_them_again(tmp_path):
    data = em.data(arrays(), class_names="abc")
    run = em.train("dense", data, model_dir=tmp_path / "run", train_steps=3, evals=1, verbose=False)
    assert run.experiment.source == "arrays" and run.experiment.class_names == ("a", "b", "c")
    again = em.open(tmp_path / "run")
    assert again.evaluate().figures == run.evaluate().figures
    others = arrays(30, seed=1)
    assert len(again.evaluate(others).labels) == 30
    with pytest.raises(em.InputError, match="data: its images are 28 x 28 x 1, the run's 8 x 9 x 1"):
        again.evaluate("sample")
    with pytest.raises(em.InputError, match="data: its classes are c, b, a; the run's are a, b, c, in this order"):
        again.evaluate(em.data(arrays(), class_names="cba"))


def test_settings_of_train_choose_data_too(tmp_path):
    run = em.train("dense", "mnist", source="sample", validation_size=1000, model_dir=tmp_path / "run", train_steps=2,
                   evals=1, verbose=False)  # fmt: skip
    assert run.experiment.train_examples == 3000 and run.experiment.evaluated_split == "validation"


def test_data_without_an_origin_is_refused(sample, tmp_path):
    assert isinstance(sample, input_fns.Data)
    with pytest.raises(em.InputError, match="make it with estimator_mnist"):
        em.train("dense", sample, model_dir=tmp_path / "run", verbose=False)
