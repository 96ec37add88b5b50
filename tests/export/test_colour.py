"""Images in colour and a user's own layers, from arrays through training to predictions, signatures and formats."""

import io
import json
import textwrap
from pathlib import Path
from typing import Tuple

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support import command_line

from estimator_mnist.config import export_formats
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.export import formats
from estimator_mnist.predict import classifier, in_memory

WITHOUT_DOWNLOAD = export_formats.default()
NETWORKS = """
from dataclasses import dataclass

import tensorflow as tf
from estimator_mnist.layers import BatchNorm, Conv2D, Dense, GlobalAveragePool, Layer, relu

@dataclass(frozen=True)
class LogGamma(Layer):
    def compute(self, x, weights):
        return tf.math.lgamma(1.0 + tf.nn.relu(x))

@dataclass(frozen=True)
class InPython(Layer):
    def compute(self, x, weights):
        return tf.ensure_shape(tf.py_function(lambda x: 2.0 * x, [x], tf.float32), x.shape)

def small(experiment):
    return [Conv2D("conv", 8, 3, strides=2), BatchNorm("norm", relu), Conv2D("wide", 8, 3, tf.nn.silu, strides=2),
            GlobalAveragePool("pool"), Dense("logits", experiment.classes)]

def odd(experiment):
    return [GlobalAveragePool("pool"), LogGamma("gamma"), Dense("logits", experiment.classes)]

def python(experiment):
    return [GlobalAveragePool("pool"), InPython("twice"), Dense("logits", experiment.classes)]
"""


def reds_greens_and_blues(examples: int, seed: int) -> Tuple[np.ndarray, np.ndarray]:
    """Returns images, uint8 [n, 32, 24, 3], whose brightest channel is their label, and the labels, int64 [n]."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, examples)
    images = random.integers(0, 120, (examples, 32, 24, 3)).astype(np.uint8)
    images[np.arange(examples), :, :, labels] += 100
    return images, labels


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with an .npz file of images, some of them as PNG files, and the user's networks."""
    folder = tmp_path_factory.mktemp("colour")
    (train, train_labels), (test, test_labels) = reds_greens_and_blues(600, 0), reds_greens_and_blues(200, 1)
    np.savez(folder / "paints.npz", x_train=train, y_train=train_labels, x_test=test, y_test=test_labels)
    (folder / "nets.py").write_text(textwrap.dedent(NETWORKS))
    (folder / "pictures").mkdir()
    for number in range(20):
        Image.fromarray(test[number]).save(folder / "pictures" / f"{number:02d}.png")
    return folder


def trained(folder: Path, network: str, steps: int) -> Path:
    """Trains one of the user's networks and returns the model_dir."""
    words = ["--arrays", "paints.npz", "--train_steps", steps, "--evals", 1, "--learning_rate", 0.02]
    done = command_line(folder, *words, "--model", f"nets.py:{network}", "--model_dir", network)
    assert done.returncode == 0, done.stderr
    return folder / network


@pytest.fixture(scope="module")
def small(folder) -> Path:
    return trained(folder, "small", 150)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return reds_greens_and_blues(200, 1)[0]


def encoded(pixels: np.ndarray, form: str = "PNG", mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form)
    return file.getvalue()


def test_files_and_arrays_in_colour_are_predicted_alike(folder, small, images):
    done = command_line(folder, "predict", "--model_dir", small, "--json", "pictures", "--contact_sheet", "sheet.png")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    answers = json.loads(done.stdout)
    assert [answer["class"] for answer in answers] == reds_greens_and_blues(200, 1)[1][:20].tolist()
    experiment = Experiment.read(small)
    network = classifier.load_network(small, experiment)
    predictions = in_memory.predict(images[:20], network, experiment)
    for answer, probabilities in zip(answers, predictions.probabilities):
        assert answer["probabilities"] == pytest.approx(probabilities, abs=1e-5)
    with Image.open(folder / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    enlarged = images[0].repeat(2, 0).repeat(2, 1)
    windows = np.lib.stride_tricks.sliding_window_view(pixels, (1, 48, 3))[:, :, 0, 0]
    assert (windows == enlarged[0]).all(axis=(-2, -1)).any(), "the picture is on the sheet, in its colours"


def test_a_preparation_in_grey_is_one_line(folder, small):
    done = command_line(folder, "predict", "--model_dir", small, "pictures", "--preprocess", "fit")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: --preprocess fit: makes grey images, and this network takes 24x32 images in")
    assert done.stderr.count("\n") == 1


def test_every_format_gives_the_classes_of_the_estimator(folder, small):
    done = command_line(folder, "export", "--model_dir", small, "--formats", ",".join(WITHOUT_DOWNLOAD), "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["format"] for row in rows] == ["checkpoint", *WITHOUT_DOWNLOAD]
    for row in rows:
        exact = row["format"] == "checkpoint" or formats.FORMATS[row["format"]].exact
        assert row["accuracy"] > 0.95 and row["largest_logit_difference"] < (1e-3 if exact else 1)
    interpreter = tf.lite.Interpreter(str(small / "export" / "tflite" / "model_int8.tflite"))
    assert tuple(interpreter.get_input_details()[0]["shape"][1:]) == (32, 24, 3)


def test_signatures_take_colours_as_floats_and_as_encoded_images(small, images):
    (version,) = (small / "export" / "final").iterdir()
    model = tf.saved_model.load(str(version))
    exact = model.signatures["predict"](image=tf.constant(images[:20] / np.float32(255)))

    def logits(*files: bytes) -> np.ndarray:
        return model.signatures["encoded:predict"](image_bytes=tf.constant(files))["logits"].numpy()

    for form, mode in (("PNG", "RGB"), ("PNG", "RGBA"), ("BMP", "RGB")):
        assert np.allclose(logits(*(encoded(image, form, mode) for image in images[:20])), exact["logits"], atol=1e-4)
    # A grey image is one whose channels are alike, however it is stored.
    grey = images[0, ..., 0]
    assert np.allclose(*logits(encoded(grey, mode="L"), encoded(grey, mode="RGB")), atol=1e-5)
    assert np.allclose(*logits(encoded(grey, mode="LA"), encoded(grey, mode="RGB")), atol=1e-5)
    # As `predict --preprocess resize` resizes.
    larger = np.asarray(Image.fromarray(images[1]).resize((240, 320), Image.Resampling.BICUBIC))
    experiment = Experiment.read(small)
    predictions = in_memory.predict(Image.fromarray(larger), classifier.load_network(small, experiment), experiment)
    assert np.allclose(logits(encoded(larger)), predictions.logits, atol=0.05)
    for shape in ((2, 32, 24), (2, 32, 24, 1), (2, 24, 32, 3), (32, 24, 3)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            model.signatures["predict"](image=tf.zeros(shape))


def test_every_signature_has_a_warm_up_request_in_colour(small):
    from tensorflow_serving.apis import prediction_log_pb2

    (version,) = (small / "export" / "final").iterdir()
    model, warmed = tf.saved_model.load(str(version)), set()
    for record in tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests")):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        assert model.signatures[request.model_spec.signature_name](**inputs)["classes"].shape == [1]
        warmed.add(request.model_spec.signature_name)
    assert warmed == set(model.signatures)


def test_a_layer_that_a_format_does_not_know_leaves_the_other_formats(folder):
    model_dir = trained(folder, "odd", 2)
    done = command_line(folder, "export", "--model_dir", model_dir, "--formats", ",".join([*WITHOUT_DOWNLOAD, "keras"]))
    assert done.returncode == 1
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert lines == [
        *(
            f"error: --formats {name}: this network cannot be converted (no translation of Lgamma)"
            for name in WITHOUT_DOWNLOAD[1:]
        ),
        "error: --formats keras: Keras has no layer like gamma (LogGamma)",
    ]
    assert "saved_model" in done.stdout and sorted(path.name for path in (model_dir / "export").iterdir()) == [
        "best",
        "final",
    ]


def test_a_layer_that_calls_python_cannot_leave_it(folder):
    model_dir = trained(folder, "python", 2)
    done = command_line(folder, "export", "--model_dir", model_dir, "--formats", "saved_model,tflite")
    assert done.returncode == 1 and done.stdout == ""
    message = "error: export: the network calls Python at twice/EagerPyFunc, which no file can hold"
    assert done.stderr.splitlines()[-1].startswith(message)
    done = command_line(folder, "predict", "--model_dir", model_dir, "pictures")
    assert done.returncode == 2 and "its network is not for" in done.stderr and done.stderr.count("\n") == 1
