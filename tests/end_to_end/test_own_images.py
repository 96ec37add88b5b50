"""Runs on a user's own images: 4,000 real digits as coloured PNGs of 40x40, and arrays in the shape of CIFAR-10."""

import json
from pathlib import Path
from typing import List

import numpy as np
import pytest
from PIL import Image
from support import assert_equal_to_the_bit, checkpoint, command_line, end, killed_at, start

import input_fns

NETWORK = """
from estimator_mnist.layers import Conv2D, Dense, Dropout, Flatten, relu

def strided(experiment):
    return [
        Conv2D("conv1", 8, 5, relu, strides=4),
        Conv2D("conv2", 16, 3, relu, strides=2),
        Flatten("flatten"),
        Dropout("dropout", experiment.dropout_rate),
        Dense("logits", experiment.classes),
    ]
"""
FORMATS = "saved_model,tflite,tflite_int8,onnx"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, sample: input_fns.Data) -> Path:
    """DIR/CLASS/*.png: the digits of the sample's training split, light colours on dark ones."""
    root, random = tmp_path_factory.mktemp("own") / "digits", np.random.default_rng(0)
    images, labels = np.load(str(sample.train.images)), np.load(str(sample.train.labels))
    for label in range(10):
        (root / f"digit {label}").mkdir(parents=True)
    for number, (image, label) in enumerate(zip(images[..., 0], labels)):
        large = np.asarray(Image.fromarray(image).resize((40, 40), Image.Resampling.BILINEAR))[..., np.newaxis] / 255
        light, dark = random.integers(120, 256, 3), random.integers(0, 80, 3)
        path = root / f"digit {label}" / f"{number:04}.png"
        Image.fromarray((dark + (light - dark) * large).astype(np.uint8)).save(path, compress_level=1)
    return root


@pytest.fixture(scope="module")
def flags(folder: Path) -> List[str]:
    (folder.parent / "nets.py").write_text(NETWORK)
    network = f"{folder.parent}/nets.py:strided"
    return ["--image_dir", str(folder), "--model", network, "--train_steps", "300", "--evals", "3"]


@pytest.fixture(scope="module")
def unbroken(folder: Path, flags: List[str]) -> Path:
    code, out, err = end(start(folder.parent / "run", *flags))
    assert code == 0, err
    assert "3,200 training and 800 test images, 40x40x3, uint8" in out and "digit 9" in out
    return folder.parent / "run"


def test_coloured_pictures_of_40x40_are_learned(unbroken):
    results = json.loads((unbroken / "results.json").read_text())
    experiment = json.loads((unbroken / "experiment.json").read_text())
    assert results["final"]["test_accuracy"] > 0.8 and results["test_examples"] == 800
    assert (experiment["image_shape"], experiment["dataset"]) == ([40, 40, 3], "digits")
    assert experiment["class_names"] == [f"digit {label}" for label in range(10)]
    predicted = np.load(unbroken / "predictions.npz")
    assert np.bincount(predicted["labels"]).tolist() == [80] * 10, "the test split is stratified"


def test_a_killed_run_on_a_folder_resumes_to_the_bit(unbroken, flags, tmp_path):
    killed_at(tmp_path / "run", "model.ckpt-100.index", *flags)
    code, out, err = end(start(tmp_path / "run", *flags))
    assert code == 0 and "Resuming after step" in out, err
    assert_equal_to_the_bit(checkpoint(unbroken), checkpoint(tmp_path / "run"))


def test_every_format_is_written_and_gives_the_same_classes(unbroken):
    done = command_line(unbroken.parent, "export", "--model_dir", unbroken, "--formats", FORMATS, "--json")
    assert done.returncode == 0, done.stderr
    rows = {row["format"]: row for row in json.loads(done.stdout)}
    assert {*FORMATS.split(","), "checkpoint"} == set(rows)
    accuracy = rows["checkpoint"]["accuracy"]
    assert all(rows[name]["accuracy"] == accuracy for name in ("saved_model", "tflite", "onnx"))


def test_pictures_of_any_size_are_predicted(unbroken, folder, tmp_path):
    picture, sheet = tmp_path / "large.png", tmp_path / "sheet.png"
    Image.open(folder / "digit 3" / "0003.png").resize((200, 200)).save(picture)
    words = [picture, folder / "digit 7", "--model_dir", unbroken, "--contact_sheet", sheet, "--json"]
    done = command_line(tmp_path, "predict", *words)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert answers[0]["label"] == "digit 3" and len(answers) == 401
    assert np.mean([answer["label"] == "digit 7" for answer in answers[1:]]) > 0.8
    assert Image.open(sheet).size[0] > 100


def test_what_is_shown_of_the_run_is_in_colour(unbroken):
    (sprite,) = unbroken.glob("projector/sprite.*")
    pixels = np.asarray(Image.open(sprite).convert("RGB")).astype(int)
    assert (pixels.max(axis=2) - pixels.min(axis=2)).max() > 100
    page = (unbroken / "report.html").read_text()
    assert "40 x 40 x 3" in page and "digit 3" in page and "nets.py" in page


def test_another_folder_is_another_experiment(unbroken, flags, folder, tmp_path):
    other = tmp_path / "digits"
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).symlink_to(path) if path.name != "digit 9" else None
    changed = [str(other) if word == str(folder) else word for word in flags]
    done = command_line(tmp_path, *changed, "--model_dir", unbroken)
    assert done.returncode == 2 and "holds another experiment: the data is not the same" in done.stderr


def test_arrays_in_the_shape_of_cifar_10(tmp_path):
    random = np.random.default_rng(0)
    means = random.uniform(60, 200, (10, 1, 1, 3))
    arrays = {}
    for split, count in (("train", 600), ("test", 200)):
        labels = np.arange(count) % 10
        noise = random.normal(0, 40, (count, 32, 32, 3))
        arrays[f"x_{split}"] = np.clip(means[labels] + noise, 0, 255).astype(np.uint8)
        arrays[f"y_{split}"] = labels[:, np.newaxis]  # as Keras's cifar10 has them
    np.savez(tmp_path / "cifar.npz", **arrays)
    words = ["--arrays", "cifar.npz", "--model", "dense", "--train_steps", "60", "--evals", "1"]
    done = command_line(tmp_path, *words)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "runs" / "cifar-dense" / "results.json").read_text())
    assert results["final"]["test_accuracy"] > 0.5 and results["source"] == "arrays"
    done = command_line(tmp_path, "evaluate", "--model_dir", "runs/cifar-dense", "--json")
    assert json.loads(done.stdout)["accuracy"] == pytest.approx(results["final"]["test_accuracy"])
