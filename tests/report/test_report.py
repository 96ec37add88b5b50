"""report.html: self-contained, complete, safe against hostile names, and with a command that reproduces the run."""

import dataclasses
import html
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import List

import numpy as np
import pytest
from report_page import Page
from support import ROOT

import input_fns
from estimator_mnist.config import flags
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import classify_split, metrics
from estimator_mnist.model_dir import checkpoints, event_files
from estimator_mnist.report import artifacts, html_page
from estimator_mnist.system.terminal import percent
from estimator_mnist.training import estimator as estimators


def test_the_page_is_well_formed_and_needs_no_network(finished):
    text = (finished / "report.html").read_text()
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>") and text.endswith("</html>\n")
    assert all(target.startswith(("data:image/png;base64,", "#")) for target in page.points_to)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style and not page.tags & {"script", "link", "iframe"}
    identifiers = re.findall(r'\bid="([^"]*)"', text)
    assert len(identifiers) == len(set(identifiers)), "no two figures share an id"


def test_the_page_shows_the_metrics_of_results_json(finished):
    results = json.loads((finished / "results.json").read_text())
    text = " ".join(Page((finished / "report.html").read_text()).text.split())
    mistakes = round((1 - results["final"]["test_accuracy"]) * results["test_examples"])
    for expected in (
        f"Test accuracy {percent(results['final']['test_accuracy'])} untrained",
        f"Test loss {results['final']['test_loss']:.4f} training {results['train_loss'][-1]:.4f}",
        f"Mistakes {mistakes} of 1,000",
        f"Training {results['seconds']['training']:.1f} s {results['images_per_second']:,.0f} images/s",
        f"Best evaluation {percent(results['best']['test_accuracy'])} at step {results['best']['global_step']}",
        "Parameters 101,770",
        "dense1 128 100,480",
        *(f"{name.replace('_', ' ')} {seconds:.2f}" for name, seconds in results["seconds"].items()),
        "dropout_rate 0.3",
    ):
        assert expected in text, expected
    assert all(field.name in text for field in dataclasses.fields(Experiment)), "every setting is there"


def classified_by(experiment: Experiment, data: input_fns.Data, model_dir: Path) -> metrics.Classified:
    estimator = estimators.create(experiment, model_dir, data)
    last = checkpoints.prefix(model_dir, experiment.total_steps)
    return classify_split.by_checkpoint(experiment, estimator, last)


def test_the_page_shows_the_confusion_matrix_and_the_mistakes(finished, sample):
    experiment = Experiment.read(finished)
    classified = classified_by(experiment, sample, finished)
    matrix = metrics.confusion_matrix(classified)
    final = json.loads((finished / "results.json").read_text())["final"]
    assert np.trace(matrix) / matrix.sum() == pytest.approx(final["test_accuracy"])
    text = (finished / "report.html").read_text()
    rows = re.findall(r'<tr><th scope="row">(.*?)</tr>', text)
    cells = [[int(cell or 0) for cell in re.findall(r"<td[^>]*>(\d*)</td>", row)] for row in rows]
    assert cells == matrix.tolist()
    mistakes = metrics.most_confident_mistakes(classified, artifacts.SHOWN_MISTAKES)
    assert [int(position) for position in re.findall(r'alt="test image (\d+)"', text)] == [m.position for m in mistakes]
    assert f"{mistakes[0].predicted}</strong> {percent(mistakes[0].probability)}" in text


def test_hostile_names_are_escaped(finished, sample, tmp_path):
    text = (finished / "report.html").read_text()
    assert finished.name not in text and f"<h1>{html.escape(finished.name)}</h1>" in text
    experiment = Experiment.read(finished)
    names = ("<script>alert(1)</script>", *experiment.class_names[1:])
    hostile = dataclasses.replace(experiment, class_names=names, dataset="<b>x", data_dir='"><i>')
    training_scalars, evaluations = event_files.scalars(finished), event_files.evaluations(finished)
    results = json.loads((finished / "results.json").read_text())
    scratch = Path(shutil.copytree(finished, tmp_path / "hostile"))
    history = artifacts.History(results["train_loss"], training_scalars, evaluations)
    run_artifacts = artifacts.make(hostile, classified_by(experiment, sample, finished), history, scratch)
    text = html_page.write(hostile, results, run_artifacts, scratch).read_text()
    assert not Page(text).tags & {"script", "b", "i"} and "&lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize(
    "words",
    [
        ["--model", "conv", "--downsample", "stride", "--train_steps", "7", "--evals", "3", "--seed", "5"],
        ["--model", "dense", "--recipe", "notebook", "--optimizer", "momentum", "--learning_rate", "0.05"],
        ["--model", "dense", "--recipe", "best", "--dataset", "fashion_mnist"],
        ["--model", "dense", "--recipe", "best", "--dataset", "fashion_mnist", "--augment", "elastic"],
        [
            "--model",
            "lenet5",
            "--input",
            "numpy",
            "--noallow_growth",
            "--label_smoothing",
            "0.1",
            "--train_epochs",
            "2",
        ],
    ],
)
def test_the_command_on_the_page_reproduces_the_experiment(words, sample):
    def described(words: List[str]) -> Experiment:
        flags.FLAGS.unparse_flags()
        for flag in flags.FLAGS:
            flags.FLAGS[flag].unparse()
        assert flags.parse(["program", *words]) == "train"
        return flags.experiment(sample)

    experiment = described([*words, "--source", "sample"])
    bash, run_sh, *reproducing = shlex.split(html_page.command(experiment))
    assert (bash, run_sh, (ROOT / run_sh).exists()) == ("bash", "run.sh", True)
    assert described(reproducing) == experiment
