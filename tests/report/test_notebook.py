"""The top of the report for notebooks."""

import json
import re
import shutil

import pytest
from report_page import Page

from estimator_mnist.model_dir import event_files
from estimator_mnist.report import notebook
from estimator_mnist.system.terminal import percent
from input_fns import InputError


def test_the_head_shows_the_figures_and_curves_of_a_finished_run_by_itself(finished):
    page = Page(notebook.head(finished))
    results = json.loads((finished / "results.json").read_text())
    text = " ".join(page.text.split())
    assert f"Test accuracy {percent(results['final']['test_accuracy'])} untrained" in text
    assert f"training {results['train_loss'][-1]:.4f}" in text and "dense on mnist: 4,000 training" in text
    assert all(target.startswith("#") for target in page.points_to)
    assert page.tags.isdisjoint({"script", "link", "img", "iframe"}) and "svg" in page.tags


def test_two_runs_of_one_notebook_share_no_id(finished, copy):
    first, second = (set(re.findall(r'\bid="([^"]*)"', notebook.head(folder))) for folder in (finished, copy))
    assert first and first.isdisjoint(second)


def test_curves_are_a_figure_of_the_whole_history(finished):
    figure = notebook.curves(finished)
    evaluations = event_files.evaluations(finished)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "Accuracy"]
    for axes, tag in zip(figure.axes, ("loss", "accuracy")):
        (line,) = [line for line in axes.get_lines() if line.get_label() == "test"]
        assert list(line.get_ydata()) == [evaluations[step][tag] for step in sorted(evaluations) if step]


def test_an_unfinished_run_shows_its_curves_so_far(copy):
    (copy / "results.json").unlink()
    assert "This run is not finished." in notebook.head(copy)
    assert notebook.curves(copy).axes


def test_a_folder_without_a_run_is_refused(copy, tmp_path):
    shutil.rmtree(copy)
    for function in (notebook.head, notebook.curves):
        with pytest.raises(InputError, match="holds no experiment"):
            function(tmp_path / "none")
