"""Data sets that TFDS's own writer has written: any shape, several sizes, no test split, other names of features."""

from pathlib import Path
from typing import Any, Dict, Tuple

import numpy as np
import pytest
import tensorflow_datasets as tfds
from support import fetch, joined, train

import input_fns
from input_fns import InputError, Request

NAMES = ["Äpfel", "猫", "two words"]
INPUTS = ["indexed", "stream", "numpy"]
Arrays = Dict[str, Tuple[np.ndarray, np.ndarray]]  # by split: images and labels


def noise(count: int, *shape: int, classes: int = 3) -> Tuple[np.ndarray, np.ndarray]:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8), np.arange(count) % classes


def store(data_dir: Path, arrays: Dict[str, Any], image: Any, label: Any = None, **options: Any) -> Request:
    """Writes a data set with TFDS's own writer, and returns a request for it."""
    features = {"image": image, "label": label or tfds.features.ClassLabel(names=NAMES), "id": np.int64}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="mine",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={
            split: [(i, {"image": image, "label": label, "id": i}) for i, (image, label) in enumerate(zip(*examples))]
            for split, examples in arrays.items()
        },
        data_dir=str(data_dir),
        **options,
    )
    return Request("mine", "tfds", data_dir=str(data_dir))


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Tuple[Request, Arrays]:
    """A set in the shape of CIFAR-10, with a test split."""
    arrays = {"train": noise(120, 32, 32, 3), "test": noise(30, 32, 32, 3)}
    return store(tmp_path_factory.mktemp("colour"), arrays, tfds.features.Image(shape=(32, 32, 3))), arrays


@pytest.fixture(scope="module")
def without_test(tmp_path_factory: pytest.TempPathFactory) -> Tuple[Request, Arrays]:
    """Six by nine grey pixels, of 40 examples of each class, without a test split."""
    arrays = {"train": noise(120, 6, 9, 1)}
    return store(tmp_path_factory.mktemp("grey"), arrays, tfds.features.Image(shape=(6, 9, 1))), arrays


def by_image(arrays: Tuple[np.ndarray, np.ndarray]) -> Dict[bytes, int]:
    return {image.tobytes(): int(label) for image, label in zip(*arrays)}


@pytest.mark.parametrize("input", INPUTS)
def test_colour_images_reach_every_input(colour, input):
    request, arrays = colour
    data = input_fns.find(Request(request.name, "tfds", request.data_dir, stream=input == "stream"))
    assert data.class_names == tuple(NAMES) and data.image_shape == (32, 32, 3) and data.preparation == "resize"
    assert (data.train.images is None) == (input == "stream"), "a set that can be streamed as it is is not decoded"
    trained = joined(train(data.train, batch_size=50, stops=[3], input=input))
    assert by_image(trained) == by_image(arrays["train"])
    assert by_image(joined(fetch(lambda: input_fns.eval_input_fn(data.test, 7)))) == by_image(arrays["test"])


@pytest.mark.parametrize("input", INPUTS)
def test_a_missing_test_split_is_cut_from_the_training_examples(without_test, input):
    request, arrays = without_test
    data = input_fns.find(Request(request.name, "tfds", request.data_dir, stream=input == "stream", test_fraction=0.3))
    images, labels = joined(train(data.train, batch_size=84, stops=[1], input=input))
    test_images, test_labels = joined(fetch(lambda: input_fns.eval_input_fn(data.test, 7)))
    assert np.bincount(labels).tolist() == [28, 28, 28] and np.bincount(test_labels).tolist() == [12, 12, 12]
    assert {**by_image((images, labels)), **by_image((test_images, test_labels))} == by_image(arrays["train"])


def test_the_cut_is_the_same_every_time_and_has_a_cache_for_each_fraction(without_test, tmp_path):
    request, _ = without_test
    first = input_fns.find(request)
    other = input_fns.find(Request(request.name, "tfds", request.data_dir, test_fraction=0.5))
    assert (first.test.examples, other.test.examples) == (24, 60)
    assert first.train.images != other.train.images and first.digest != other.digest
    assert input_fns.find(request) == first and len(first.train.arrays()[0]) == 96


def test_images_of_several_sizes_need_an_image_size(tmp_path):
    images = [np.full((10 + i % 3, 20, 3), (i, 2 * i, 99), np.uint8) for i in range(60)]
    request = store(tmp_path, {"train": (images, np.arange(60) % 3)}, tfds.features.Image(shape=(None, None, 3)))
    with pytest.raises(InputError, match=r"--dataset mine: its images have several sizes; .* --image_size"):
        input_fns.find(request)
    data = input_fns.find(Request(request.name, "tfds", request.data_dir, image_size="12x16"))
    assert data.image_shape == (12, 16, 3) and (data.train.examples, data.test.examples) == (48, 12)
    for split in (data.train, data.test):
        for image, label in zip(*split.arrays()):
            number = image[0, 0, 0]
            assert np.array_equal(image, np.full_like(image, (number, 2 * number, 99))) and label == number % 3


def test_tensors_three_hundred_classes_and_supervised_keys(tmp_path):
    images, labels = noise(600, 5, 4, 1, classes=300)
    tfds.dataset_builders.store_as_tfds_dataset(
        name="mine",
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Tensor(shape=(5, 4, 1), dtype=np.uint8),
                "label": tfds.features.ClassLabel(num_classes=300),
            }
        ),
        split_datasets={
            split: [(i, {"image": images[i], "label": labels[i]}) for i in range(600)] for split in ("train", "test")
        },
        data_dir=str(tmp_path),
    )
    for stream in (False, True):
        data = input_fns.find(Request("mine", "tfds", str(tmp_path), stream=stream))
        assert len(data.class_names) == 300 and data.class_names[270] == "270"
        for read in (data.train.arrays(), joined(fetch(lambda data=data: input_fns.eval_input_fn(data.test, 64)))):
            assert by_image(read) == by_image((images, labels)) and max(read[1]) == 299


def test_other_names_and_further_features_do_not_matter(tmp_path):
    images, labels = noise(30, 5, 4, 1)
    features = {
        "picture": tfds.features.Image(shape=(5, 4, 1)),
        "kind": tfds.features.ClassLabel(names=NAMES),
        "mask": tfds.features.Image(shape=(None, None, 3)),
        "box": tfds.features.BBoxFeature(),
        "words": tfds.features.Sequence(tfds.features.Text()),
    }

    class Mine(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        pkg_dir_path = tmp_path

        def _info(self) -> Any:
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("picture", "kind")
            )

        def _split_generators(self, dl_manager: Any) -> Any:
            return {"train": self._generate_examples(), "test": self._generate_examples()}

        def _generate_examples(self) -> Any:
            for i in range(30):
                box = tfds.features.BBox(0.0, 0.0, 1.0, 1.0)
                others = {"mask": images[i].repeat(3, axis=2)[: 1 + i % 4], "words": ["a"] * (i % 3), "box": box}
                yield i, {"picture": images[i], "kind": labels[i], **others}

    Mine(data_dir=str(tmp_path)).download_and_prepare()
    for stream in (False, True):
        data = input_fns.find(Request("mine", "tfds", str(tmp_path), stream=stream))
        for split in (data.train, data.test):
            read = joined(fetch(lambda split=split: input_fns.eval_input_fn(split, 7)))
            assert by_image(read) == by_image((images, labels))


def test_a_label_without_a_class_is_one_line(tmp_path):
    images, labels = noise(12, 5, 4, 1)
    labels[7] = -1  # what TFDS's sets hold where labels are unknown
    request = store(tmp_path, {"train": (images, labels)}, tfds.features.Image(shape=(5, 4, 1)))
    with pytest.raises(
        InputError, match=r"mine/1.0.0: the train split holds the label -1; there are 3 classes from 0 on"
    ):
        input_fns.find(request)
    assert not list(tmp_path.rglob("estimator_mnist_cache*"))


def test_a_format_that_tfds_does_not_stream_is_one_line(tmp_path):
    arrays = {"train": noise(12, 5, 4, 1)}
    request = store(tmp_path, arrays, tfds.features.Image(shape=(5, 4, 1)), file_format="array_record")
    with pytest.raises(InputError, match=r"mine/1.0.0: is in a format that cannot be read here; store it as TFRecords"):
        input_fns.find(request)


@pytest.mark.parametrize(
    "image, label, message",
    [
        (tfds.features.Image(shape=(5, 4, 4)), None, r"has uint8 images of shape \(5, 4, 4\); needed are"),
        (tfds.features.Image(shape=(5, 4, 1)), tfds.features.Scalar(np.int64), "its label is not a class label"),
    ],
)
def test_other_images_and_labels_are_refused(tmp_path, image, label, message):
    request = store(tmp_path, {"train": noise(12, *image.shape)}, image, label)
    with pytest.raises(InputError, match=f"--dataset mine: {message}"):
        input_fns.find(request)
