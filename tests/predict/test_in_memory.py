"""Predictions from Python: arrays are taken as they are or refused, pictures are prepared as by the command."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.predict import classifier, in_memory
from estimator_mnist.predict.choose_preparation import chosen_preparation
from input_fns import InputError


@pytest.fixture(scope="module")
def experiment(run) -> Experiment:
    return Experiment.read(run)


@pytest.fixture(scope="module")
def network(run, experiment) -> classifier.Network:
    return classifier.load_network(run, experiment)


@pytest.fixture(scope="module")
def images(sample) -> np.ndarray:
    """uint8 [1100, 28, 28, 1]: more than two batches."""
    return np.concatenate([sample.test.arrays()[0], sample.train.arrays()[0][:100]])


@pytest.fixture
def predict(network, experiment):
    return lambda images, preprocess="auto": in_memory.predict(images, network, experiment, preprocess)


def test_arrays_of_bytes_and_floats_give_the_same_predictions(predict, images, sample):
    expected = predict(images)
    assert expected.classes.shape == (1100,) == (len(expected),) and expected.logits.shape == (1100, 10)
    assert np.mean(expected.classes[:1000] == sample.test.arrays()[1]) > 0.85
    softmax = np.exp(expected.logits) / np.exp(expected.logits).sum(axis=1, keepdims=True)
    assert np.allclose(expected.probabilities, softmax, atol=1e-6) and expected.probabilities.dtype == np.float32
    floats = images.astype(np.float32) / 255
    for others in (images[..., 0], images.astype(np.int64), list(images), list(images[..., 0]), floats.astype(float)):
        others_predictions = predict(others)
        assert np.allclose(others_predictions.logits, expected.logits, atol=1e-5)
    assert predict(images[..., 0]).files == ()


def test_no_images_give_no_predictions(predict):
    for none in ([], np.zeros((0, 28, 28, 1), np.uint8)):
        predictions = predict(none)
        assert len(predictions) == 0 and predictions.logits.shape == predictions.probabilities.shape == (0, 10)


WRONG = {
    "floats of 0 to 255": (
        lambda images: images.astype(np.float32),
        r"range from 0 to 255; floats must be in \[0, 1\]",
    ),
    "floats below 0": (lambda images: images / 127.5 - 1, r"range from -1 to 1; floats must be in \[0, 1\]"),
    "not a number": (lambda images: np.full(images.shape, np.nan), "range from nan to nan; floats"),
    "16 bits": (
        lambda images: images.astype(np.uint16) * 257,
        r"range from 0 to 65535; integers must be in \[0, 255\]",
    ),
    "signed": (lambda images: images.astype(np.int16) - 1, r"range from -1 to 254; integers must be in \[0, 255\]"),
    "truth values": (lambda images: images > 127, "are bool; they must be integers"),
    "one image": (
        lambda images: images[0],
        r"shape \[28, 28, 1\]; this network takes \[n, 28, 28, 1\] or \[n, 28, 28\]",
    ),
    "one plane": (lambda images: images[0, ..., 0], r"shape \[28, 28\]; .*; give one image as images\[None\]"),
    "colour": (lambda images: images.repeat(3, -1), r"shape \[3, 28, 28, 3\]; this network takes"),
    "another size": (lambda images: images[:, 1:], r"shape \[3, 27, 28, 1\]; this network takes"),
    "flat": (lambda images: images.reshape(3, -1), r"shape \[3, 784\]; this network takes"),
    "several sizes": (lambda images: [images[0], images[1, 1:]], "do not make one array"),
    "a number": (lambda images: 7, r"shape \[\]; this network takes"),
    "nothing": (lambda images: None, "are object; they must be integers"),
    "words among arrays": (lambda images: [images[0], "seven.png"], "number 0 is no picture, unlike others"),
    "no file": (lambda images: "nowhere.png", r"nowhere.png: cannot be read \(No such file"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_whatever_is_no_image_of_the_network_is_refused_in_one_line(predict, images, kind):
    make, message = WRONG[kind]
    with pytest.raises(InputError, match=message) as raised:
        predict(make(images[:3]))
    assert "\n" not in str(raised.value)


def test_files_folders_and_images_of_pillow_are_prepared(predict, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    larger = [Image.fromarray(255 - image[..., 0]).resize((112, 112)) for image in images[:4]]
    for number, picture in enumerate(larger):
        picture.save(f"folder/{number}.png")
    from_folder = predict("folder")
    assert from_folder.files == tuple(f"folder/{number}.png" for number in range(4))
    assert np.array_equal(from_folder.classes, predict(images[:4]).classes)
    for same in (larger, [Path(file) for file in from_folder.files], [larger[0], *from_folder.files[1:]]):
        assert np.array_equal(predict(same).logits, from_folder.logits)
    assert predict(larger[0]).files == ("",) and len(predict(Path("folder/0.png"))) == 1
    assert not np.array_equal(predict(larger, "resize").logits, from_folder.logits)

    Path("folder/2.png").write_bytes(b"two")
    with pytest.raises(InputError, match=r"^folder/2\.png: is not an image"):
        predict("folder")
    with pytest.raises(InputError, match="28x28 only"):
        predict(larger, "none")


def test_the_preparation_is_that_of_the_data_and_not_of_its_name(experiment):
    def chosen(preprocess="auto", **changes):
        return chosen_preparation(preprocess, dataclasses.replace(experiment, **changes)).preprocess

    assert chosen(dataset="fashion_mnist", preparation="mnist") == "mnist"
    assert chosen(dataset="mnist", preparation="fit") == "fit"
    assert chosen(dataset="mnist", preparation="resize") == "resize"
    assert chosen("none", preparation="mnist") == "none"
    assert chosen(dataset="cifar10", preparation="resize", image_shape=(32, 32, 3)) == "resize"
    # An experiment.json of before has no preparation.
    assert chosen(dataset="mnist", preparation="") == "mnist" == chosen(dataset="mnist:3.0.1", preparation="")
    assert chosen(dataset="fashion_mnist", preparation="") == "fit"


@pytest.mark.parametrize("preprocess", ["mnist", "fit"])
def test_a_preparation_in_grey_is_refused_for_a_network_of_colour(experiment, preprocess):
    colour = dataclasses.replace(experiment, image_shape=(48, 32, 3))
    with pytest.raises(InputError) as raised:
        chosen_preparation(preprocess, colour)
    expected = "makes grey images, and this network takes 32x48 images in colour; it must be auto, resize or none"
    assert str(raised.value) == f"--preprocess {preprocess}: {expected}"
