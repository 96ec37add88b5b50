"""The exports of a run: SavedModels with their signatures, and the same network in runtimes without Estimator."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from support import RUN, assert_equal_to_the_bit, checkpoint, end, killed_at, start

import input_fns
from estimator_mnist.architectures import create_network
from estimator_mnist.config import export_formats, flags
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import MODELS
from estimator_mnist.export import command as export
from estimator_mnist.export import formats, isolated_venv, runtimes, throughput
from estimator_mnist.model_dir import checkpoints, event_files, saved_models
from estimator_mnist.model_dir.ranking import Ranking
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.signals import Stopper
from estimator_mnist.training import exporters
from estimator_mnist.training.estimator import create as create_estimator
from estimator_mnist.training.job import Job
from estimator_mnist.training.progress import Progress

WITHOUT_DOWNLOAD = export_formats.default()


@pytest.fixture(scope="module")
def on_mnist(mnist, tmp_path_factory) -> Path:
    """The model_dir of a short run of lenet5 on all of MNIST."""
    folder = tmp_path_factory.mktemp("exports") / "mnist"
    assert start(folder, "--model", "lenet5", "--train_steps", "400", "--evals", "2").wait(300) == 0
    return folder


def images_and_labels(split: input_fns.Split):
    images, labels = split.arrays()
    return images.astype(np.float32) / np.float32(255), labels


def by_estimator(model_dir: Path, images: np.ndarray) -> Dict[str, np.ndarray]:
    """Returns what the Estimator predicts from its newest checkpoint, by name."""
    estimator = create_estimator(Experiment.read(model_dir), model_dir)
    batches = [{"image": images[first : first + 500]} for first in range(0, len(images), 500)]
    shapes = {"image": tf.TensorSpec([None, 28, 28, 1], tf.float32)}
    predictions = list(
        estimator.predict(
            lambda: tf.data.Dataset.from_generator(lambda: batches, output_signature=shapes),
            yield_single_examples=False,
        )
    )
    return {name: np.concatenate([batch[name] for batch in predictions]) for name in predictions[0]}


def only_version(folder: Path) -> Path:
    assert [path.name.isdigit() for path in folder.iterdir()] == [True], list(folder.iterdir())
    return next(folder.iterdir())


def global_step(version: Path) -> int:
    return int(tf.train.load_checkpoint(str(version / "variables" / "variables")).get_tensor("global_step"))


def test_a_run_exports_its_last_and_its_best_checkpoint_as_saved_models(run):
    content = json.loads((run / "results.json").read_text())
    assert global_step(only_version(run / "export" / "final")) == content["global_step"] == 400
    assert global_step(only_version(run / "export" / "best")) == content["best"]["global_step"]
    assert checkpoints.steps(run / "best") == [content["best"]["global_step"]]
    assert content["seconds"]["export"] > 0


def test_rerunning_a_finished_run_exports_nothing_again(run):
    before = sorted((path, path.stat().st_mtime_ns) for path in (run / "export").rglob("*"))
    assert "is finished" in end(start(run, *RUN))[1]
    assert sorted((path, path.stat().st_mtime_ns) for path in (run / "export").rglob("*")) == before


def test_every_signature_gives_the_predictions_of_the_estimator(run, sample):
    images, _ = images_and_labels(sample.test)
    expected, model = by_estimator(run, images), tf.saved_model.load(str(only_version(run / "export" / "final")))
    short, full = {"classes", "probabilities"}, {"classes", "probabilities", "logits"}
    outputs = {"serving_default": short, "classify": short, "predict": full}
    outputs.update({f"encoded:{name}": names for name, names in outputs.items()})
    assert set(model.signatures) == set(outputs)
    for name, names in outputs.items():
        signature = model.signatures[name]
        assert set(signature.structured_outputs) == names
        if not name.startswith("encoded:"):
            for request in (images, images[..., 0]):
                response = signature(image=tf.constant(request))
                assert np.array_equal(response["classes"], expected["classes"])
                for output in names:
                    assert np.allclose(response[output], expected[output], atol=1e-4)
    for shape in ((2, 784), (2, 28, 27), (28, 28), (2, 28, 28, 3)):
        with pytest.raises(tf.errors.InvalidArgumentError):
            model.signatures["predict"](image=tf.zeros(shape))


def encoded(pixels: np.ndarray, form: str, mode: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form)
    return file.getvalue()


def test_encoded_images_of_every_format_are_decoded_in_the_graph(run, sample):
    images, _ = images_and_labels(sample.test)
    model = tf.saved_model.load(str(only_version(run / "export" / "best")))
    pixels = np.round(images[:40, ..., 0] * 255).astype(np.uint8)
    exact = model.signatures["predict"](image=tf.constant(images[:40]))

    def predicted(*files: bytes) -> Dict[str, np.ndarray]:
        return {k: v.numpy() for k, v in model.signatures["encoded:predict"](image_bytes=tf.constant(files)).items()}

    in_png = predicted(*(encoded(image, "PNG", "L") for image in pixels))
    assert np.allclose(in_png["logits"], exact["logits"], atol=1e-4)
    for form, mode in (("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "LA"), ("GIF", "L"), ("BMP", "RGB"), ("BMP", "RGBA")):
        same = predicted(*(encoded(image, form, mode) for image in pixels))
        assert np.allclose(same["logits"], exact["logits"], atol=0.05), (form, mode)
    lossy = predicted(*(encoded(image, "JPEG", "L") for image in pixels))
    assert np.mean(lossy["classes"] == exact["classes"]) > 0.9
    # One request can hold several sizes. Each digit is enlarged four times.
    fourfold = [encoded(image.repeat(4, 0).repeat(4, 1), "PNG", "L") for image in pixels[:20]]
    large = predicted(*fourfold, encoded(pixels[0], "PNG", "L"))
    assert np.mean(large["classes"][:20] == exact["classes"][:20]) > 0.9
    with pytest.raises(tf.errors.InvalidArgumentError):
        predicted(b"no image")


def test_there_is_a_warm_up_request_for_every_signature(run):
    from tensorflow_serving.apis import prediction_log_pb2

    version = only_version(run / "export" / "final")
    model, signatures = tf.saved_model.load(str(version)), []
    for record in tf.data.TFRecordDataset(str(version / "assets.extra" / "tf_serving_warmup_requests")):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
        signatures.append(request.model_spec.signature_name)
        assert model.signatures[signatures[-1]](**inputs)["classes"].shape == [1]
    assert sorted(signatures) == sorted(model.signatures)


def test_a_kill_during_an_export_leaves_no_partial_version_and_a_rerun_makes_it(run, tmp_path):
    killed = tmp_path / "run"
    killed_at(killed, "export/final/temp-*", *RUN)
    for version in saved_models.versions(killed / "export" / "final").values():  # the kill may come after the renaming
        assert global_step(version) == 400
    assert not (killed / "results.json").exists()
    code, _, err = end(start(killed, *RUN))
    assert code == 0, err
    assert_equal_to_the_bit(checkpoint(run), checkpoint(killed))
    for name in ("final", "best"):
        assert global_step(only_version(killed / "export" / name)) == global_step(only_version(run / "export" / name))
    assert checkpoints.steps(killed / "best") == checkpoints.steps(run / "best")


def test_the_best_is_the_most_accurate_then_the_one_of_lower_loss_across_restarts(run, sample, tmp_path):
    model_dir, path = tmp_path / "run", str(tmp_path / "run" / "export" / "best")
    shutil.copytree(run, model_dir)
    experiment = Experiment.read(model_dir)
    events = model_dir / event_files.folder_of(experiment.evaluated_split)
    for folder in (model_dir / "best", model_dir / "export", events):
        shutil.rmtree(folder)
    job = Job(experiment, sample, model_dir, Stopper(), Progress())
    estimator = create_estimator(experiment, model_dir)
    # Accuracy and loss by step, exact in the float32 of event files.
    figures = {0: (0.125, 2.5), 100: (0.875, 0.5), 200: (0.875, 0.25), 300: (0.875, 0.25), 400: (0.75, 0.125)}
    evaluations = {step: {"accuracy": a, "loss": b, "global_step": step} for step, (a, b) in figures.items()}

    def record(step: int) -> None:
        """Writes the event file of an evaluation."""
        values = [
            tf.compat.v1.Summary.Value(tag=tag, simple_value=evaluations[step][tag]) for tag in ("accuracy", "loss")
        ]
        with (
            tf.Graph().as_default(),
            tf.compat.v1.summary.FileWriter(str(events), filename_suffix=f".{step}") as writer,
        ):
            writer.add_summary(tf.compat.v1.Summary(value=values), step)

    def evaluated(exports, step: int, final: bool = False) -> None:
        record(step)
        for exporter in exports:
            exporter.export(estimator, str(model_dir / "export" / exporter.name), "", evaluations[step], final)

    record(0)
    with exporters.of_run(job, 0) as exports:
        evaluated(exports[1:], 100)
        evaluated(exports[1:], 200)
    for file in model_dir.glob("model.ckpt-200*"):
        file.unlink()  # as Estimator does with old checkpoints
    with exporters.of_run(job, 200) as exports:  # after a restart
        assert checkpoints.steps(model_dir / "best") == [200]
        evaluated(exports[1:], 300)
        evaluated(exports[1:], 400, final=True)
    assert global_step(only_version(Path(path))) == 200 == Ranking().best_step(evaluations)
    weights = tf.train.load_checkpoint(str(only_version(Path(path)) / "variables" / "variables"))
    kept = tf.train.load_checkpoint(checkpoints.prefix(model_dir / "best", 200))
    assert np.array_equal(weights.get_tensor("logits/kernel"), kept.get_tensor("logits/kernel"))


def test_resuming_from_an_earlier_step_deletes_the_exports_of_later_steps(run, tmp_path):
    model_dir = tmp_path / "run"
    shutil.copytree(run, model_dir)
    (model_dir / "results.json").unlink()
    for file in [*model_dir.glob("model.ckpt-400*"), *model_dir.glob("model.ckpt-300*")]:
        file.unlink()
    before = only_version(model_dir / "export" / "final").stat().st_ino
    time.sleep(1.1)  # versions are named by the second
    assert end(start(model_dir, *RUN))[0] == 0
    assert only_version(model_dir / "export" / "final").stat().st_ino != before
    assert_equal_to_the_bit(checkpoint(run), checkpoint(model_dir))


def test_clean_deletes_the_exports_too(run, tmp_path, cli):
    shutil.copytree(run, tmp_path / "run")
    done = cli("--source", "sample", "--model", "dense", "--train_steps", "1", "--clean", "--model_dir", "run")
    assert done.returncode == 0, done.stderr
    assert global_step(only_version(tmp_path / "run" / "export" / "final")) == 1


@pytest.mark.parametrize(
    "words, message",
    [
        (["--formats", "tflite,h5"], "--formats: h5 is no format; name some of saved_model, tflite,"),
        (["--formats", ""], "--formats: nothing is no format"),
        (["--checkpoint", "7"], "--checkpoint 7: there is no"),
        (["--model_dir", "none"], "--model_dir none: holds no experiment"),
    ],
)
def test_a_wrong_flag_of_export_ends_in_one_line(run, cli, words, message):
    done = cli("export", "--model_dir", run, *words)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1 and done.stdout == ""


def test_the_flag_offers_every_format():
    assert tuple(formats.FORMATS) == export_formats.FORMATS


def test_without_tf2onnx_the_default_leaves_onnx_out(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    flags.parse(["program", "export"])
    assert flags.formats() == ["saved_model", "tflite", "tflite_int8"]
    assert capsys.readouterr().err == "onnx is left out: tf2onnx is not installed; it needs Python 3.10 or later\n"
    flags.parse(["program", "export", "--formats", "onnx,tflite,onnx"])
    assert flags.formats() == ["onnx", "tflite"] and capsys.readouterr().err == ""
    flags.FLAGS["formats"].unparse()


def test_exported_files_give_the_classes_of_the_estimator_in_their_runtimes(on_mnist, mnist, cli):
    """TFLite, int8 and ONNX in their own runtimes, against the Estimator, on the whole test split."""
    earlier = only_version(on_mnist / "export" / "final")
    done = cli("export", "--model_dir", on_mnist)
    assert done.returncode == 0 and ("onnx" not in WITHOUT_DOWNLOAD or done.stderr == ""), done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[2:]] == ["checkpoint", *WITHOUT_DOWNLOAD]
    assert only_version(on_mnist / "export" / "final") == earlier, "the export of training is checked, not made again"
    images, labels = images_and_labels(mnist.test)
    expected = by_estimator(on_mnist, images)

    for name in ("model.tflite", "model_int8.tflite"):
        interpreter = tf.lite.Interpreter(str(on_mnist / "export" / "tflite" / name))
        outputs = interpreter.get_signature_runner("predict")(image=images)
        assert {key: value.dtype for key, value in outputs.items()} == {
            "classes": np.int64,
            "logits": np.float32,
            "probabilities": np.float32,
        }
        if name == "model.tflite":
            assert np.array_equal(outputs["classes"], expected["classes"])
            assert np.abs(outputs["logits"] - expected["logits"]).max() < 1e-3
        else:
            loss = np.mean(expected["classes"] == labels) - np.mean(outputs["classes"] == labels)
            assert loss <= 0.001 and np.abs(outputs["logits"] - expected["logits"]).max() > 1e-3
            kinds = {detail["dtype"] for detail in interpreter.get_tensor_details() if len(detail["shape"]) == 4}
            assert np.int8 in kinds

    if "onnx" not in WITHOUT_DOWNLOAD:
        return
    import onnxruntime

    session = onnxruntime.InferenceSession(str(on_mnist / "export" / "onnx" / "model.onnx"))
    classes, logits = session.run(["classes", "logits"], {"image": images})
    assert np.array_equal(classes, expected["classes"]) and np.abs(logits - expected["logits"]).max() < 1e-3


def test_an_earlier_checkpoint_is_exported_to_its_own_folder(run, cli):
    done = cli("export", "--model_dir", run, "--checkpoint", "100", "--formats", "saved_model", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [row["format"] for row in rows] == ["checkpoint", "saved_model"]
    assert global_step(only_version(run / "export" / "step-100")) == 100
    assert rows[1]["path"] == str(only_version(run / "export" / "step-100"))
    assert rows[0]["accuracy"] == rows[1]["accuracy"] and rows[1]["images_per_second"] > 0
    shutil.rmtree(run / "export" / "step-100")


@pytest.mark.parametrize("model", MODELS)
def test_every_network_can_be_exported_in_every_exact_format(model, sample, tmp_path, monkeypatch):
    """With the initial weights: what a format computes does not depend on training."""
    monkeypatch.setattr(throughput, "AT_LEAST_SECONDS", 0.01)
    experiment = Experiment(model=model, source="sample", train_examples=4000, test_examples=1000, dropout_rate=0.5)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        create_network(experiment).build(experiment.seed)
        tf.compat.v1.train.get_or_create_global_step()
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), global_step=0)
    names = [name for name in WITHOUT_DOWNLOAD if formats.FORMATS[name].exact]
    rows, failures = export.export(experiment, sample, tmp_path, None, names)
    assert not failures and [row.format for row in rows] == ["checkpoint", *names]
    assert all(row.largest_logit_difference < 1e-3 for row in rows)


def test_a_file_that_gives_other_classes_is_not_kept(run, sample, tmp_path):
    model_dir = tmp_path / "run"
    shutil.copytree(run, model_dir)
    experiment = Experiment.read(model_dir)
    estimator, images = create_estimator(experiment, model_dir), images_and_labels(sample.test)[0]
    trained = by_estimator(model_dir, images)
    outcome = runtimes.Outcome(trained["classes"], trained["logits"], 1.0)
    reference = export._Reference(images, images_and_labels(sample.test)[1], outcome)
    (tmp_path / "scratch").mkdir()
    source = export._source(experiment, sample, estimator, checkpoints.prefix(model_dir, 0), tmp_path / "scratch")
    for name, problem in (("tflite", "differently from the Estimator"), ("tflite_int8", "its accuracy is")):
        with pytest.raises(RunError, match=f"--formats {name}: not written: .*{problem}"):
            export._write_and_check(name, source, tmp_path / "scratch" / name, model_dir, reference)
    assert not list((model_dir / "export").glob("tflite/*"))


def test_without_an_environment_for_keras_the_other_formats_are_written(run, sample, tmp_path, monkeypatch):
    model_dir = tmp_path / "run"
    shutil.copytree(run, model_dir)
    lock = tmp_path / "requirements-keras.lock"
    lock.write_text("no-such-package-of-anyone==1.0\n")
    monkeypatch.setattr(runtimes, "KERAS_LOCK", lock)
    monkeypatch.setattr(runtimes, "KERAS_VENV", tmp_path / ".venv-keras")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    rows, failures = export.export(Experiment.read(model_dir), sample, model_dir, None, ["keras", "tflite"])
    assert [row.format for row in rows] == ["checkpoint", "tflite"] and len(failures) == 1
    assert "requirements-keras.lock: could not be installed (" in str(failures[0]) and "\n" not in str(failures[0])
    assert sorted(path.name for path in (model_dir / "export").iterdir()) == ["best", "final", "tflite"]


IN_KERAS_3 = """
import sys, keras, numpy, tensorflow
assert keras.version().startswith("3.") and not hasattr(tensorflow, "estimator")
model = keras.models.load_model(sys.argv[1])
assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
numpy.save(sys.argv[3], model.predict(numpy.load(sys.argv[2]), batch_size=500, verbose=0))
"""


def test_the_keras_file_loads_in_keras_3_without_estimator(on_mnist, mnist, tmp_path, cli):
    try:
        python = isolated_venv.python_of(runtimes.KERAS_LOCK, runtimes.KERAS_VENV, print)
    except RunError as error:
        pytest.skip(f"needs the environment of Keras 3: {error}")
    done = cli("export", "--model_dir", on_mnist, "--formats", "keras")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    images, _ = images_and_labels(mnist.test)
    np.save(tmp_path / "images.npy", images)
    words = [python, "-c", IN_KERAS_3, on_mnist / "export" / "keras" / "model.keras"]
    env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([*words, tmp_path / "images.npy", tmp_path / "logits.npy"], check=True, env=env, cwd=tmp_path)
    expected, logits = by_estimator(on_mnist, images), np.load(tmp_path / "logits.npy")
    assert np.array_equal(logits.argmax(1), expected["classes"])
    assert np.abs(logits - expected["logits"]).max() < 1e-3
