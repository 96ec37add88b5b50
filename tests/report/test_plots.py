"""The pictures of a run, and the files of TensorBoard's projector."""

import numpy as np
from PIL import Image

from estimator_mnist.report import plots

PICTURES = ["confusion_matrix", "filters", "mistakes", "reliability", "training_accuracy", "training_loss"]


def test_a_finished_run_has_all_pictures(finished):
    assert sorted(path.name for path in (finished / "plots").iterdir()) == [f"{name}.png" for name in PICTURES]
    for name in PICTURES:
        with Image.open(finished / "plots" / f"{name}.png") as picture:
            picture.load()
            assert min(picture.size) > 200 and len(set(picture.convert("L").getdata())) > 10, name


def test_the_projector_has_the_hidden_layer_labels_and_sprite_of_all_test_images(finished):
    folder = finished / "projector"
    assert np.fromfile(folder / "hidden.bytes", "<f4").reshape(1000, 128).max() > 0
    lines = (folder / "labels.tsv").read_text().splitlines()
    assert len(lines) == 1001 and {line.count("\t") for line in lines} == {4}
    with Image.open(folder / "sprite.png") as sprite:
        assert sprite.size == (32 * 28, 32 * 28), "1,000 images: the projector needs as many rows as columns"


def test_filters_of_any_shape_make_a_picture():
    for shape in ((5, 5, 64), (28, 28, 128), (5, 5, 1)):
        picture = plots.filters(np.random.default_rng(0).normal(size=shape).astype(np.float32))
        assert 100 < picture.width < 1300 and 100 < picture.height < 1300
    zeros = np.asarray(plots.filters(np.zeros([5, 5, 6], np.float32)))
    assert zeros.min() > 240, "weights of zero are white, and nothing is divided by zero"


def test_class_names_with_dollar_signs_are_not_parsed_as_formulas():
    names = ["$\\frac$", "$5", "a_b"]
    with plots.style():
        assert plots.png(plots.confusion_matrix(np.eye(3, dtype=np.int64), names)).startswith(b"\x89PNG")
