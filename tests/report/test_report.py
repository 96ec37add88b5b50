"""What is left of a finished run for eyes: report.html, plots, the projector's files, and the set of summaries."""

import dataclasses
import html
import json
import re
import shlex
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Dict, List, Set

import numpy as np
import pytest
from PIL import Image
from support import ROOT, end, killed_at, start
from tensorboard.backend.event_processing import plugin_event_accumulator as accumulator

import input_fns
from estimator_mnist.config import flags
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.evaluation import classify_split, metrics
from estimator_mnist.model_dir import checkpoints
from estimator_mnist.model_dir import event_files as events
from estimator_mnist.report import artifacts, plots
from estimator_mnist.report import html_page as report
from estimator_mnist.system.terminal import percent
from estimator_mnist.training import estimator as estimators

NAME = "<img src=x onerror=alert(1)>"  # a folder that a page must not take by its word
FLAGS = ["--source", "sample", "--model", "dense", "--train_epochs", "2", "--evals", "4", "--dropout_rate", "0.3"]
PICTURES = ["confusion_matrix", "filters", "mistakes", "reliability", "training_accuracy", "training_loss"]


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / NAME
    code, out, err = end(start(folder, *FLAGS))
    assert code == 0 and err == "", err
    assert f"Report: {folder / 'report.html'}" in out.splitlines()
    return folder


@pytest.fixture
def copy(finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


class Page(HTMLParser):
    """A page, taken apart: the text of it, where it points to, and whether every element is closed."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text: str):
        super().__init__()
        self.text, self.points_to, self.tags = "", [], set()  # type: str, List[str], Set[str]
        self._open: List[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.points_to += [
            value or "" for name, value in attributes if re.fullmatch("(.*:)?(src|href|srcset|data)", name)
        ]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, tag

    def handle_data(self, data):
        self.text += f" {data}" if self._open[-1:] != ["style"] else ""


def test_the_page_is_whole_and_needs_no_network(finished):
    text = (finished / "report.html").read_text()
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>") and text.endswith("</html>\n")
    assert all(target.startswith(("data:image/png;base64,", "#")) for target in page.points_to)
    style = text[text.index("<style>") : text.index("</style>")]
    assert "url(" not in style and "@import" not in style and not page.tags & {"script", "link", "iframe"}
    identifiers = re.findall(r'\bid="([^"]*)"', text)
    assert len(identifiers) == len(set(identifiers)), "the two figures share no id"


def test_the_page_tells_the_figures_of_results_json(finished):
    found = json.loads((finished / "results.json").read_text())
    text = " ".join(Page((finished / "report.html").read_text()).text.split())
    mistakes = round((1 - found["final"]["test_accuracy"]) * found["test_examples"])
    for expected in (
        f"Test accuracy {percent(found['final']['test_accuracy'])} untrained",
        f"Test loss {found['final']['test_loss']:.4f} training {found['train_loss'][-1]:.4f}",
        f"Mistakes {mistakes} of 1,000",
        f"Training {found['seconds']['training']:.1f} s {found['images_per_second']:,.0f} images/s",
        f"Best {percent(found['best']['test_accuracy'])} at step {found['best']['global_step']}",
        "Parameters 101,770",
        "dense1 128 100,480",
        *(f"{name.replace('_', ' ')} {seconds:.2f}" for name, seconds in found["seconds"].items()),
        "dropout_rate 0.3",
    ):
        assert expected in text, expected
    shown = set(dataclasses.asdict(Experiment.read(finished)))
    assert all(name in text for name in shown), "every setting is there"


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
    assert [int(found) for found in re.findall(r'alt="test image (\d+)"', text)] == [m.position for m in mistakes]
    assert f"{mistakes[0].predicted}</strong> {percent(mistakes[0].probability)}" in text


def test_what_others_named_is_escaped(finished, sample, tmp_path):
    text = (finished / "report.html").read_text()
    assert NAME not in text and f"<h1>{html.escape(NAME)}</h1>" in text
    experiment = Experiment.read(finished)
    names = ("<script>alert(1)</script>", *experiment.class_names[1:])
    evil = dataclasses.replace(experiment, class_names=names, dataset="<b>x", data_dir='"><i>')
    training_scalars, evaluations = events.scalars(finished), events.evaluations(finished)
    outcome = json.loads((finished / "results.json").read_text())
    scratch = Path(shutil.copytree(finished, tmp_path / "evil"))
    history = artifacts.History(outcome["train_loss"], training_scalars, evaluations)
    made = artifacts.make(evil, classified_by(experiment, sample, finished), history, scratch)
    text = report.write(evil, outcome, made, scratch).read_text()
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
def test_the_command_in_the_page_gives_the_same_experiment(words, sample):
    def described(words: List[str]) -> Experiment:
        flags.FLAGS.unparse_flags()
        for flag in flags.FLAGS:
            flags.FLAGS[flag].unparse()
        assert flags.parse(["program", *words]) == "train"
        return flags.experiment(sample)

    experiment = described([*words, "--source", "sample"])
    bash, run_sh, *again = shlex.split(report.command(experiment))
    assert (bash, run_sh, (ROOT / run_sh).exists()) == ("bash", "run.sh", True)
    assert described(again) == experiment


def test_pictures_and_the_projector_s_files(finished):
    assert sorted(path.name for path in (finished / "plots").iterdir()) == [f"{name}.png" for name in PICTURES]
    for name in PICTURES:
        with Image.open(finished / "plots" / f"{name}.png") as picture:
            picture.load()
            assert min(picture.size) > 200 and len(set(picture.convert("L").getdata())) > 10, name
    folder = finished / "projector"
    assert np.fromfile(folder / "hidden.bytes", "<f4").reshape(1000, 128).max() > 0
    lines = (folder / "labels.tsv").read_text().splitlines()
    assert len(lines) == 1001 and {line.count("\t") for line in lines} == {4}
    with Image.open(folder / "sprite.png") as sprite:
        assert sprite.size == (2800, 280) and max(sprite.size) <= 8192


def test_filters_of_any_shape_make_a_picture():
    for shape in ((5, 5, 64), (28, 28, 128), (5, 5, 1)):
        picture = plots.filters(np.random.default_rng(0).normal(size=shape).astype(np.float32))
        assert 100 < picture.width < 1300 and 100 < picture.height < 1300
    dead = np.asarray(plots.filters(np.zeros([5, 5, 6], np.float32)))
    assert dead.min() > 240, "weights of zero are white, and divide by nothing"


def test_report_makes_all_of_it_again_and_the_same(copy, cli):
    pages = (copy / "report.html").read_text(), (copy / "plots" / "mistakes.png").read_bytes()
    summaries = tags_and_steps(copy)
    (copy / "report.html").unlink()
    shutil.rmtree(copy / "plots")
    shutil.rmtree(copy / "projector")
    before = (copy / "results.json").stat().st_mtime_ns
    done = cli("report", "--model_dir", copy)
    assert done.returncode == 0 and done.stderr == "" and "report.html" in done.stdout, done.stderr
    assert (copy / "report.html").read_text() == pages[0].replace(html.escape(NAME), "run")
    assert (copy / "plots" / "mistakes.png").read_bytes() == pages[1]
    assert tags_and_steps(copy) == summaries and (copy / "results.json").stat().st_mtime_ns == before
    assert not [path for path in copy.rglob("*") if ".new-" in path.name or "unfinished" in path.name]


def test_report_of_what_is_not_finished_is_one_line(copy, cli):
    checkpoint = copy / "model.ckpt-126.index"
    checkpoint.write_bytes(b"")
    damaged = cli("report", "--model_dir", copy)
    (copy / "results.json").unlink()
    unfinished = cli("report", "--model_dir", copy)
    for done, message in (
        (damaged, "the last checkpoint"),
        (unfinished, "is not finished"),
        (cli("report"), "holds no"),
    ):
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("error: --model_dir") and message in done.stderr


def test_clean_takes_all_of_it_away(copy, cli):
    from estimator_mnist.model_dir import prepare

    (copy / "notes.txt").write_text("mine")
    prepare._clean(copy)
    assert sorted(path.name for path in copy.iterdir()) == [".lock", "notes.txt"]


def tags_and_steps(model_dir: Path) -> Dict[str, Dict[str, Set[int]]]:
    """Returns {run: {tag: steps}} as TensorBoard reads them."""
    found: Dict[str, Dict[str, Set[int]]] = {}
    for run in (".", "eval_test"):
        events = accumulator.EventAccumulator(str(model_dir / run), size_guidance={accumulator.TENSORS: 0})
        events.Reload()
        found[run] = {tag: {event.step for event in events.Tensors(tag)} for tag in events.Tags()["tensors"]}
    return found


def test_a_killed_run_ends_with_the_same_set_of_summaries(finished, tmp_path):
    killed = tmp_path / "killed"
    killed_at(killed, "model.ckpt-63.index", *FLAGS)
    assert not (killed / "results.json").exists()
    assert end(start(killed, *FLAGS))[0] == 0
    whole = tags_and_steps(finished)
    assert tags_and_steps(killed) == whole
    assert whole["."]["gradients/dense1/kernel"] == {0, 32, 63, 94, 126}
    assert whole["."]["weights/logits/bias"] == {0, 32, 63, 94, 126}
    assert {"filters", "_hparams_/session_start_info", "custom_scalars__config__"} <= set(whole["."])
    assert {"confusion_matrix", "mistakes", "pr_curve/7/pr_curves", "loss"} <= set(whole["eval_test"])


def test_the_gradients_are_those_of_the_loss(finished, sample):
    """Against differences of the loss, at the weights of the end."""
    import tensorflow as tf

    from estimator_mnist.layers import network
    from estimator_mnist.training.histograms import EXAMPLES, _Gradients

    experiment = Experiment.read(finished)
    gradients = _Gradients(experiment, sample.train)
    reader = tf.train.load_checkpoint(str(finished))
    weights = {name: reader.get_tensor(name) for name in network.create(experiment).weight_shapes()}
    found = gradients(weights)
    assert {name: value.shape for name, value in found.items()} == {name: w.shape for name, w in weights.items()}
    images, labels = gradients._examples[0] / 255.0, gradients._examples[1]

    def loss(weights: Dict[str, np.ndarray]) -> float:
        wide = {name: value.astype(np.float64) for name, value in weights.items()}
        hidden = np.maximum(images.reshape(-1, 784) @ wide["dense1/kernel"] + wide["dense1/bias"], 0)
        logits = hidden @ wide["logits/kernel"] + wide["logits/bias"]
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]))

    assert len(labels) == EXAMPLES
    for name, index in (("dense1/bias", (7,)), ("logits/kernel", (3, 4)), ("dense1/kernel", (400, 9))):
        above, below = ({**weights, name: weights[name].astype(np.float64)} for _ in range(2))
        above[name][index] += 1e-4
        below[name][index] -= 1e-4
        assert found[name][index] == pytest.approx((loss(above) - loss(below)) / 2e-4, rel=1e-2, abs=1e-6)
