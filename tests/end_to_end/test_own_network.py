"""A user's own network, examples/resnet.py, in everything that a run goes through, and every fault of a user's file."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import ROOT, command_line, killed_at, resumes_to_the_same_end

from estimator_mnist import user_code
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.export import command as export
from estimator_mnist.export import isolated_venv, runtimes, throughput
from estimator_mnist.model import user_functions
from estimator_mnist.system.errors import RunError
from input_fns import InputError

EXAMPLES = ROOT / "examples"
STEPS = 150
FLAGS = ["--source", "sample", "--model", "nets/resnet.py:resnet", "--train_steps", str(STEPS), "--evals", "3"]
FLAGS += ["--dropout_rate", "0.2"]
SHORT = ["--source", "sample", "--train_steps", "4", "--evals", "1", "--batch_size", "32"]


def with_nets(folder: Path, *names: str) -> Path:
    """Makes folder/nets with copies of examples, and returns the folder."""
    (folder / "nets").mkdir()
    for name in names:
        shutil.copy(EXAMPLES / name, folder / "nets")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """The model_dir of an unbroken run with FLAGS, whose network's file has been deleted since."""
    folder = with_nets(tmp_path_factory.mktemp("own_network"), "resnet.py")
    done = command_line(folder, *FLAGS, "--model_dir", "run")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    shutil.rmtree(folder / "nets")
    return folder / "run"


def refused(done, message: str) -> None:
    """Checks that a command ended with one line on standard error."""
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert message in done.stderr, done.stderr


def test_the_example_has_at_most_20_lines_and_learns(trained):
    assert len((EXAMPLES / "resnet.py").read_text().splitlines()) <= 20
    results = json.loads((trained / "results.json").read_text())
    assert results["model"] == "resnet.py:resnet" and results["final"]["test_accuracy"] > 0.93
    assert (trained / "user_code" / "resnet.py").read_bytes() == (EXAMPLES / "resnet.py").read_bytes()


def test_a_killed_run_resumes_to_the_same_end_and_an_edited_file_is_refused(trained, tmp_path):
    folder = with_nets(tmp_path, "resnet.py")
    killed_at(folder / "run", "model.ckpt-50.index", *FLAGS)
    assert not (folder / "run" / "results.json").exists()

    file = folder / "nets" / "resnet.py"
    file.write_text(file.read_text().replace('"stem", 16', '"stem", 8'))
    before = {path: path.stat().st_mtime_ns for path in (folder / "run").glob("*.*") if path.name != ".lock"}
    refused(command_line(folder, *FLAGS, "--model_dir", "run"), "resnet.py was edited (its SHA-256 is ")
    assert before == {path: path.stat().st_mtime_ns for path in (folder / "run").glob("*.*") if path in before}

    file.unlink()  # then the copy counts
    out = resumes_to_the_same_end(folder / "run", trained, FLAGS)
    assert "Resuming after step" in out


def test_evaluate_and_predict_use_the_copy_of_the_network(trained, sample, tmp_path):
    results = json.loads((trained / "results.json").read_text())
    evaluated = command_line(tmp_path, "evaluate", "--model_dir", trained, "--json")
    assert json.loads(evaluated.stdout)["accuracy"] == results["final"]["test_accuracy"], evaluated.stderr

    images, labels = np.load(sample.test.images)[:20], np.load(sample.test.labels)[:20]
    (tmp_path / "digits").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(tmp_path / "digits" / f"{number:02}.png")
    done = command_line(tmp_path, "predict", "digits", "--model_dir", trained, "--json", "--preprocess", "none")
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout)
    assert sum(answer["class"] == label for answer, label in zip(answers, labels)) >= 18, answers


def test_every_format_is_exported_with_the_copy_of_the_network(trained, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(throughput, "AT_LEAST_SECONDS", 0.01)
    names = ["saved_model", "tflite", "tflite_int8", "onnx"]
    try:
        isolated_venv.python_of(runtimes.KERAS_LOCK, runtimes.KERAS_VENV, print)
        names.append("keras")
    except RunError:
        pass  # needs a download
    model_dir = Path(shutil.copytree(trained, tmp_path / "run"))
    rows, failures = export.export(Experiment.read(model_dir), sample, model_dir, None, names)
    assert not failures and [row.format for row in rows] == ["checkpoint", *names]
    for row in rows:
        assert row.largest_logit_difference < 1e-3 or row.format == "tflite_int8"
        assert row.accuracy == pytest.approx(rows[0].accuracy, abs=0.001)


def test_an_edited_copy_is_refused(trained, tmp_path):
    model_dir = Path(shutil.copytree(trained, tmp_path / "run"))
    copy = model_dir / "user_code" / "resnet.py"
    copy.write_text(copy.read_text().replace("relu)", "relu )"))
    message = f"error: {copy}: was edited since the run began (its SHA-256 is "
    refused(command_line(tmp_path, "evaluate", "--model_dir", model_dir), message)
    copy.unlink()
    message = f"error: {copy}: the run's copy of resnet.py cannot be read"
    refused(command_line(tmp_path, "evaluate", "--model_dir", model_dir), message)


def test_a_sweep_trains_networks_of_several_files(tmp_path):
    folder = with_nets(tmp_path, "resnet.py", "from_keras.py")
    models = "nets/resnet.py:resnet,nets/from_keras.py:convnet"
    done = command_line(folder, "sweep", *SHORT, "--model", models, "--sweep_dir", "sweep")
    assert done.returncode == 0, done.stderr
    experiments = [json.loads(path.read_text()) for path in (folder / "sweep").rglob("experiment.json")]
    assert sorted(experiment["model"] for experiment in experiments) == ["from_keras.py:convnet", "resnet.py:resnet"]
    assert "resnet.py:resnet" in done.stdout and "from_keras.py:convnet" in done.stdout


def test_two_workers_train_a_network_without_batch_normalisation(tmp_path):
    folder = with_nets(tmp_path, "resnet.py", "from_keras.py")
    flags = [*SHORT, "--workers", "2", "--model_dir", "run", "--model"]
    message = (
        "error: --strategy: multi_worker is not possible with BatchNorm layers (--model resnet.py:resnet); it must"
    )
    refused(command_line(folder, "cluster", *flags, "nets/resnet.py:resnet"), message)
    assert not (folder / "run").exists()

    done = command_line(folder, "cluster", *flags, "nets/from_keras.py:convnet")
    assert done.returncode == 0, done.stderr + done.stdout
    assert json.loads((folder / "run" / "results.json").read_text())["global_step"] == 4
    assert (folder / "run" / "user_code" / "from_keras.py").exists()


DENSE = """\
from estimator_mnist.layers import Dense, Flatten

def dense(experiment):
    return [Flatten("flatten"), Dense("logits", experiment.classes)]
"""
FAULTY = f"""\
{DENSE}
def raises(experiment):
    return experiment.clases

def one_layer(experiment):
    return Flatten("flatten")

def no_layer(experiment):
    return [Flatten("flatten"), 10]

def no_logits(experiment):
    return [Flatten("flatten")]

def loss(labels, logits):
    return logits[:, 0] + labels

number = 3
"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "other").mkdir()
    (folder / "nets.py").write_text(FAULTY)
    (folder / "other" / "nets.py").write_text(DENSE)
    return folder


@pytest.mark.parametrize(
    "words, line",
    [
        (
            ["--loss", "nets.py:loss", "--model", "dense"],
            "nets.py:19: TypeError: Input 'y' of 'AddV2' Op has type int32",
        ),
        (
            ["--model", "nets.py:resnet"],
            "--model nets.py:resnet: nets.py has no function resnet; it has dense, raises,",
        ),
        (["--model", "none.py:net"], "--model none.py: cannot be read (No such file or directory); name a Python file"),
        (
            ["--model", "other.py"],
            "--model: other.py is not possible; it must be one of conv, ",
        ),
        (
            ["--model", "nets.py:dense", "--loss", "other/nets.py:loss"],
            "--loss other/nets.py:loss: another file of the same name is used, too; rename one of them",
        ),
    ],
)
def test_a_fault_in_a_user_s_file_is_one_line_and_nothing_is_written(faulty, words, line):
    before = sorted(faulty.rglob("*"))
    done = command_line(faulty, *SHORT, *words, "--model_dir", "run")
    refused(done, f"error: {line}")
    assert sorted(faulty.rglob("*")) == before


@pytest.mark.parametrize(
    "function, content, line",
    [
        (
            "net",
            "import numpy\nimport no_such_module",
            "nets.py:2: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("net", "import sys\n\nsys.exit(1)", "nets.py:3: SystemExit: 1"),
        ("net", "\x00", "nets.py: SyntaxError: source code string cannot contain null bytes"),
        ("one_layer", FAULTY, "nets.py: one_layer returned Flatten; it must return a list of layers"),
        ("no_layer", FAULTY, "nets.py: no_layer returned a list with int; each item must be a layer"),
        ("no_logits", FAULTY, "--model nets.py:no_logits: layer flatten: the network ends in 784 and must end in 10"),
        ("number", FAULTY, "--model nets.py:number: nets.py has no function number; it has dense, raises, one_layer,"),
    ],
)
def test_a_file_that_makes_no_network_is_refused_in_one_line(function, content, line):
    experiment = Experiment(model=f"nets.py:{function}", user_code={"nets.py": user_code.register(content.encode())})
    with pytest.raises(InputError) as raised:
        user_functions.check(experiment)
    assert str(raised.value).startswith(line) and "\n" not in str(raised.value)


def test_verbosity_shows_the_traceback_of_a_user_s_file(faulty):
    done = command_line(faulty, *SHORT, "--model", "nets.py:raises", "--model_dir", "run", "--verbosity", "0")
    assert done.returncode == 2 and "Traceback (most recent call last)" in done.stderr
    assert 'nets.py", line 7, in raises\n    return experiment.clases' in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: nets.py:7: AttributeError: ")
