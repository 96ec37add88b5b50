"""A run on colour images with a user's network and metric, from the terminal to TensorBoard."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from report_page import Page
from support import end, start
from tensorboard.backend.event_processing import plugin_event_accumulator as accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.model_dir import event_files
from estimator_mnist.report import html_page, notebook

CODE = '''"""<script>alert("mine")</script>"""
import tensorflow as tf
from estimator_mnist.layers import BatchNorm, Conv2D, Dense, Flatten, relu


def small(experiment):
    return [BatchNorm("norm"), Conv2D("conv", 4, 3, relu), Flatten("flatten"), Dense("logits", experiment.classes)]


def recall(labels, logits):
    return tf.compat.v1.metrics.mean_per_class_accuracy(labels, tf.argmax(logits, axis=1), 3)
'''


@pytest.fixture(scope="module")
def colour(tmp_path_factory) -> Path:
    """The model_dir of a finished run on 9x11 images of three colours."""
    folder, random = tmp_path_factory.mktemp("colour"), np.random.default_rng(0)
    labels = random.integers(0, 3, 240)
    images = random.integers(0, 90, (240, 9, 11, 3)).astype(np.uint8)
    images[np.arange(240), :, :, labels] += 60
    arrays = folder / "colours.npz"
    np.savez(arrays, x_train=images[:180], y_train=labels[:180], x_test=images[180:], y_test=labels[180:])
    code = folder / "mine.py"
    code.write_text(CODE)
    data = ["--source", "arrays", "--arrays", str(arrays), "--train_steps", "12", "--evals", "2"]
    functions = ["--model", f"{code}:small", "--metric", f"{code}:recall", "--best_metric", "recall"]
    code, out, err = end(start(folder / "run", *data, *functions))
    assert code == 0 and err == "", err
    (folder / "out.txt").write_text(out)
    return folder / "run"


def test_the_terminal_shows_the_metric(colour, cli):
    values = json.loads((colour / "results.json").read_text())["metrics"]["recall"]
    out = (colour.parent / "out.txt").read_text()
    assert f", recall {values['untrained']:.4f}\n" in out and f", recall {values['final']:.4f}\n" in out
    assert re.search(rf"test split, best by recall \(step \d+\) +[0-9.]+% +{values['best']:.4f}", out)
    result = json.loads(cli("evaluate", "--model_dir", colour, "--json").stdout)
    assert result["metrics"] == {"recall": pytest.approx(values["final"])}
    printed = cli("evaluate", "--model_dir", colour).stdout
    assert ["recall", f"{values['final']:.4f}"] in [line.split() for line in printed.splitlines()]


def test_the_page_shows_the_metric_its_curve_and_the_users_code(colour):
    text = (colour / "report.html").read_text()
    page, values = Page(text), json.loads((colour / "results.json").read_text())["metrics"]["recall"]
    shown = " ".join(page.text.split())
    assert f"Test recall {values['final']:.4f} untrained {values['untrained']:.4f}" in shown
    assert f"Best recall {values['best']:.4f} at step" in shown and 'aria-label="The metric on the test split' in text
    digest = hashlib.sha256(CODE.encode()).hexdigest()
    assert f"mine.py SHA-256 {digest}" in shown and "def recall(labels, logits):" in shown
    assert "<details><summary>mine.py" in text and "script" not in page.tags
    assert "4 filters of 3x3 pixels. The brightness of a colour is its weight" in shown
    assert "with the user code in the current folder" in shown
    (colour.parent / "empty").mkdir()
    assert html_page.MISSING in html_page._user_code(Experiment.read(colour), colour.parent / "empty")[0]


def test_the_notebook_has_the_curve_of_the_metric(colour):
    assert "Test recall" in notebook.head(colour)
    figure, evaluations = notebook.curves(colour), event_files.evaluations(colour)
    assert [axes.get_ylabel() for axes in figure.axes][2] == "recall"
    (line,) = figure.axes[2].get_lines()
    assert list(line.get_ydata()) == [evaluations[step]["recall"] for step in sorted(evaluations) if step]


def test_tensorboard_has_the_metric_and_the_version_of_the_code(colour):
    events = accumulator.EventAccumulator(str(colour)).Reload()
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    start_info = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    digest = hashlib.sha256(CODE.encode()).hexdigest()
    assert start_info.hparams["sha256 of mine.py"].string_value == digest[:12]
    assert start_info.hparams["model"].string_value == "mine.py:small"
    content = events.SummaryMetadata("_hparams_/experiment").plugin_data.content
    metrics = plugin_data_pb2.HParamsPluginData.FromString(content).experiment.metric_infos
    assert "test recall" in [metric.display_name for metric in metrics]
    assert "filters" in events.Tags()["tensors"]
    layout = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    assert b"^recall$" in layout
