"""What a Run says of its model_dir."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import estimator_mnist as em


@pytest.fixture(scope="module")
def opened(run: Path) -> em.Run:
    """The shared finished run, which no test here changes."""
    return em.open(run)


def test_the_history_has_a_place_for_every_evaluation(opened, run):
    history, outcome = opened.history, json.loads((run / "results.json").read_text())
    assert list(history) == ["step", "epoch", "train_loss", "test_loss", "test_accuracy"]
    assert {name: (values.dtype, len(values)) for name, values in history.items()} == {
        name: (np.dtype("int64" if name == "step" else "float64"), 5) for name in history
    }
    assert history["step"].tolist() == [0, 100, 200, 300, 400]
    assert np.allclose(history["epoch"], np.arange(5) * 100 / 63)
    assert np.isnan(history["train_loss"][0])
    # Steps 100, 200, 300 and 400 lie in the epochs 2, 4, 5 and 7, of 63 steps each.
    assert history["train_loss"][1:].tolist() == [outcome["train_loss"][epoch - 1] for epoch in (2, 4, 5, 7)]
    assert history["test_accuracy"][-1] == pytest.approx(outcome["final"]["test_accuracy"])
    assert opened.untrained == outcome["untrained"]
    assert opened.results["best"] == outcome["best"]


def test_an_unfinished_run_has_a_history_of_what_is_over(half, run):
    unfinished = em.open(half)
    history, outcome = unfinished.history, json.loads((run / "results.json").read_text())
    assert history["train_loss"][1:4].tolist()[:2] == pytest.approx(
        [outcome["train_loss"][epoch - 1] for epoch in (2, 4)]
    )
    assert np.isnan(history["train_loss"][3])  # the epoch of step 300 is not over
    assert unfinished.untrained["test_loss"] == pytest.approx(outcome["untrained"]["test_loss"])
    assert "not finished" in repr(unfinished) and "<svg" in unfinished._repr_html_()
    with pytest.raises(em.InputError, match="this run is not finished"):
        unfinished.results  # noqa: B018
    with pytest.raises(em.InputError, match="this run is not finished"):
        unfinished.report()
    assert unfinished.evaluate().figures["global_step"] == 300


def test_an_evaluation_has_the_figures_and_outputs_of_the_split(opened, sample):
    evaluation = opened.evaluate()
    labels = sample.test.arrays()[1]
    assert np.array_equal(evaluation.labels, labels) and evaluation.logits.shape == (1000, 10)
    right = evaluation.logits.argmax(axis=1) == labels
    assert evaluation.figures["accuracy"] == pytest.approx(right.mean())
    assert evaluation.figures["accuracy"] == pytest.approx(opened.results["final"]["test_accuracy"])
    assert evaluation.confusion.trace() == right.sum() and evaluation.confusion.sum(axis=1).tolist() == [100] * 10
    assert repr(evaluation).startswith("Evaluation(step 400, 1,000 examples: loss ")


@pytest.mark.parametrize("checkpoint, step", [(200, 200), ("300", 300), ("best", None)])
def test_a_checkpoint_is_evaluated_by_its_name(opened, checkpoint, step):
    evaluated = opened.evaluate(checkpoint=checkpoint).figures
    assert evaluated["global_step"] == (step or opened.results["best"]["global_step"])


def test_a_corrupt_checkpoint_is_skipped_with_a_remark_or_without(half, capfd):
    (half / "model.ckpt-300.data-00000-of-00001").write_bytes(b"")
    assert em.open(half).evaluate().figures["global_step"] == 200
    assert capfd.readouterr().out.startswith("Skipped model.ckpt-300, which is corrupt")
    em.open(half, verbose=False).evaluate()
    assert capfd.readouterr() == ("", "")


def test_arrays_and_pictures_are_predicted(opened, sample, tmp_path):
    images, _ = sample.test.arrays()
    predicted, logits = opened.predict(images[:20]), opened.evaluate().logits[:20]
    assert np.allclose(predicted.logits, logits, atol=1e-4) and predicted.probabilities.shape == (20, 10)
    assert np.array_equal(predicted.classes, logits.argmax(axis=1))
    Image.fromarray(images[0, :, :, 0]).save(tmp_path / "digit.png")
    assert opened.predict(tmp_path / "digit.png").classes.shape == (1,)
    with pytest.raises(em.InputError, match="images: have the shape"):
        opened.predict(np.zeros([1, 3, 3], np.uint8))


def test_a_run_can_be_pickled_after_it_has_predicted(opened, sample):
    images = sample.test.arrays()[0][:3]
    before = opened.predict(images).logits
    assert np.array_equal(pickle.loads(pickle.dumps(opened)).predict(images).logits, before)


def test_a_network_is_loaded_anew_after_the_folder_was_trained_anew(tmp_path):
    settings = {"model": "dense", "data": "sample", "model_dir": tmp_path, "evals": 1, "verbose": False}
    images = np.zeros([1, 28, 28], np.uint8)
    run = em.train(train_steps=2, **settings)
    before = run.predict(images).logits
    em.train(train_steps=40, clean=True, **settings)
    assert not np.array_equal(run.predict(images).logits, before)


def test_exports_have_paths_and_failures_have_reasons(half, monkeypatch):
    unfinished = em.open(half)
    paths = unfinished.export("tflite", "saved_model", checkpoint=200)
    assert set(paths) == {"tflite", "saved_model"} and all(path.exists() for path in paths.values())
    with pytest.raises(em.InputError, match=r"formats: \['tflite'\] is no format"):
        unfinished.export(["tflite"])
    with pytest.raises(em.InputError, match="formats: pickle is no format"):
        unfinished.export("pickle")
    with pytest.raises(em.InputError, match=r"there is no .*model\.ckpt-7\.index"):
        unfinished.export("tflite", checkpoint=7)
    (half / "export" / "onnx").write_text("a file where the folder should be")
    with pytest.raises(em.RunError, match="onnx"):
        unfinished.export("onnx")


def test_the_report_is_written_again(run, tmp_path):
    import shutil

    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    (copy / "report.html").unlink()
    path = em.open(copy).report()
    assert path == copy / "report.html" and "<html" in path.read_text()


def test_a_notebook_sees_curves_and_the_reports_top(opened):
    figure = opened.plot()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Loss", "Accuracy"]
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert "<svg" in opened._repr_html_()
    assert repr(opened).startswith("Run(dense on mnist, ") and "accuracy 9" in repr(opened)


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(em.InputError, match=f"model_dir {tmp_path}: holds no experiment"):
        em.open(tmp_path)
