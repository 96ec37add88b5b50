"""Reports of data of any shape: colour, tiny and wide images, one class and hundreds, and names in any script."""

import base64
import dataclasses
import io
import re
import warnings
from pathlib import Path
from typing import Any, Dict, NamedTuple, Optional, Sequence

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing import plugin_event_accumulator as accumulator
from tensorboard.plugins.projector import projector_config_pb2

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation.metrics import Classified
from estimator_mnist.report import artifacts, class_labels, html_page, plots
from estimator_mnist.report.run_curves import History

EXAMPLES = 120
UNICODE = ("猫", "собака", "naïve café", "\u202eevil", "a\nb", "🐈", "x" * 300)


class Report(NamedTuple):
    """A report of made-up results."""

    page: str
    model_dir: Path
    classified: Classified

    def picture(self, name: str) -> Image.Image:
        return Image.open(self.model_dir / "plots" / f"{name}.png").convert("RGB")


def experiment_of(shape: Sequence[int], names: Sequence[str], **settings: Any) -> Experiment:
    sizes = {"train_examples": 400, "test_examples": EXAMPLES, "train_steps": 14, "evals": 2}
    return Experiment(model="dense", image_shape=tuple(shape), class_names=tuple(names), **{**sizes, **settings})


def classified_of(experiment: Experiment, filters: Optional[np.ndarray] = None) -> Classified:
    """Returns random images, classified mostly right."""
    random, classes = np.random.default_rng(1), experiment.classes
    labels = random.integers(0, classes, EXAMPLES).astype(np.int32)
    logits = random.normal(0, 1, (EXAMPLES, classes)).astype(np.float32)
    logits[np.arange(EXAMPLES), labels] += 3
    return Classified(
        images=random.integers(0, 256, (EXAMPLES, *experiment.image_shape)).astype(np.uint8),
        labels=labels,
        logits=logits,
        hidden=random.normal(size=(EXAMPLES, 7)).astype(np.float32),
        filters=filters,
        light_on_dark=experiment.image_shape[2] == 1,
    )


def results_of(experiment: Experiment) -> Dict[str, Any]:
    figures = {"test_loss": 0.3, "test_accuracy": 0.9}
    return {
        "test_examples": EXAMPLES,
        "untrained": figures,
        "final": figures,
        "best": {"test_accuracy": 0.9, "global_step": 14},
        "best_metric": "accuracy",
        "metrics": {},
        "train_loss": [0.5],
        "parameters": 1234,
        "seconds": {"training": 1.0},
        "images_per_second": 99.0,
        "tensorflow": "2.15.1",
    }


def report(folder: Path, experiment: Experiment, classified: Classified, history: Optional[History] = None) -> Report:
    """Makes the report, and turns a warning that a terminal would show into an error."""
    (folder / f"model.ckpt-{experiment.total_steps}.index").touch()  # its time is the run's end
    history = history or History([0.5], {"loss": {7: 0.6}}, {14: {"loss": 0.3, "accuracy": 0.9}})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = artifacts.make(experiment, classified, history, folder)
        page = html_page.write(experiment, results_of(experiment), made, folder)
    return Report(page.read_text(), folder, classified)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (32, 32, 3), (20, 300, 3), (300, 7, 1), (130, 96, 1)])
def test_images_of_any_shape_keep_their_proportions(shape, tmp_path):
    experiment = experiment_of(shape, "abc")
    filters = np.random.default_rng(0).normal(size=(*shape, 6) if shape[2] == 3 else (*shape[:2], 6))
    made = report(tmp_path, experiment, classified_of(experiment, filters))
    for name in ("mistakes", "filters", "confusion_matrix"):
        assert min(made.picture(name).size) > 100 and max(made.picture(name).size) < 2500, name
    height, width = shape[:2]
    shown = re.search(r'<img class="image[^"]*" src="data:image/png;base64,([^"]*)"', made.page)
    size = Image.open(io.BytesIO(base64.b64decode(shown[1]))).size
    assert size == (width, height) or max(size) == html_page.MISTAKE_SIDE
    assert size[0] * height == pytest.approx(size[1] * width, rel=0.08)
    config = text_format.Parse(
        (tmp_path / "projector_config.pbtxt").read_text(), projector_config_pb2.ProjectorConfig()
    )
    sprite = config.embeddings[0].sprite
    with Image.open(tmp_path / sprite.image_path) as picture:
        assert [side / one for side, one in zip(picture.size, sprite.single_image_dim)] == [11, 11], "120 images"
        assert picture.mode == ("RGB" if shape[2] == 3 else "L")
    assert sprite.single_image_dim[0] == sprite.single_image_dim[1] <= 32


def test_colour_images_are_shown_in_their_colours(tmp_path):
    experiment = experiment_of((12, 10, 3), "ab")
    classified = classified_of(experiment, np.zeros([12, 10, 3, 4], np.float32))
    classified.images[:] = (200, 30, 60)
    made = report(tmp_path, experiment, classified)
    colours = made.picture("mistakes").getcolors(2**24)
    assert max(colours, key=lambda count: count[0] * (count[1] != (255, 255, 255)))[1] == (200, 30, 60)
    assert (128, 128, 128) in {colour for _, colour in made.picture("filters").getcolors(2**24)}, "zeros are grey"
    assert "brightness of a colour" in made.page and 'class="image pixels"' in made.page


def test_grey_images_become_negatives_only_on_a_dark_background(tmp_path):
    experiment = experiment_of((9, 9, 1), "ab")
    darkest = {}
    for light_on_dark in (True, False):
        classified = dataclasses.replace(classified_of(experiment), light_on_dark=light_on_dark)
        classified.images[:] = 250
        folder = tmp_path / str(light_on_dark)
        folder.mkdir()
        made = report(folder, experiment, classified)
        with Image.open(folder / "projector" / "sprite.png") as sprite:
            darkest[light_on_dark] = sprite.getextrema()[0]
        assert ("pixels inverted" in made.page) == light_on_dark
    assert darkest == {True: 5, False: 250}


@pytest.mark.parametrize("classes", [1, 2, 300])
def test_any_number_of_classes_makes_a_readable_report(classes, tmp_path):
    experiment = experiment_of((8, 8, 1), [f"class number {index}" for index in range(classes)])
    made = report(tmp_path, experiment, classified_of(experiment))
    rows = re.findall(r'<tr><td>class number (\d+)</td><td class="number">', made.page)
    assert made.picture("confusion_matrix").width < 1500
    assert len(made.page) < 2_000_000
    events = accumulator.EventAccumulator(str(tmp_path / "eval_test")).Reload()
    curves = [tag for tag in events.Tags()["tensors"] if tag.startswith("pr_curve/")]
    if classes <= 20:
        assert rows == [str(index) for index in range(classes)] and 'class="matrix"' in made.page
        assert len(curves) == classes
    else:
        assert "The 20 classes with the lowest F1, of 300." in made.page and 'class="matrix"' not in made.page
        assert 'alt="The confusion matrix of 300 classes"' in made.page
        right = (made.classified.predicted == made.classified.labels).astype(int)
        assert len(rows) == len(curves) == 20 and right[made.classified.labels == int(rows[0])].sum() == 0
    assert ("None: the network classifies every" in made.page) == (classes == 1)


def test_the_matrix_of_thousands_of_classes_is_not_made(tmp_path):
    experiment = experiment_of((4, 4, 1), [str(index) for index in range(3000)])
    made = report(tmp_path, experiment, classified_of(experiment))
    assert "Not drawn: it would have 3,000 rows" in made.page and not (tmp_path / "plots/confusion_matrix.png").exists()


def test_names_in_any_script_are_shown_without_a_warning(tmp_path, capfd):
    experiment = experiment_of((8, 8, 3), UNICODE)
    made = report(tmp_path, experiment, classified_of(experiment))
    assert capfd.readouterr() == ("", "")
    assert "<td>猫</td>" in made.page and "<td>🐈</td>" in made.page and f"<td>{'x' * 77}...</td>" in made.page
    assert "\u202e" not in made.page and "\\u202eevil" in made.page, "no letter turns the text around"
    with plots.style():
        labels = class_labels.of_figure(UNICODE)
    assert labels[:3] == ["class 0", "собака", "naïve café"] and labels[5] == "class 5", "the font has no such letters"
    assert labels[3] == "\\u202eevil" and labels[4] == "a\\nb" and len(labels[6]) == 16
    lines = (tmp_path / "projector" / "labels.tsv").read_text().splitlines()
    assert len(lines) == EXAMPLES + 1 and any(line.startswith("猫\t") for line in lines)


def test_a_network_without_a_kernel_has_no_picture_of_filters(tmp_path):
    experiment = experiment_of((8, 8, 3), "ab")
    made = report(tmp_path, experiment, classified_of(experiment, filters=None))
    assert not (tmp_path / "plots" / "filters.png").exists() and "Filters of the first layer" not in made.page


def test_a_loss_without_logarithms_and_an_accuracy_of_one_are_drawn(tmp_path):
    experiment = experiment_of((8, 8, 1), "a")
    for losses in ([0.0, 0.0], [-3.0, 2.0]):
        scalars = {"loss": dict(zip((7, 14), losses)), "accuracy": {7: 1.0, 14: 1.0}}
        history = History([losses[0]], scalars, {14: {"loss": losses[1], "accuracy": 1.0}})
        assert "<svg" in report(tmp_path, experiment, classified_of(experiment), history).page
