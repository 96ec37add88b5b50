"""The Estimator that keeps its evaluation graph, compared with TensorFlow's Estimator."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

import input_fns
from estimator_mnist.model.model_fn import model_fn
from estimator_mnist.model_dir import checkpoints, prepare
from estimator_mnist.training import estimator, run_config
from input_fns.batching import indexed, streamed


@pytest.mark.parametrize("batches_of", [indexed.eval_batches, streamed.eval_batches])
def test_evaluations_equal_those_of_tensorflows_estimator(run, sample, tmp_path, batches_of):
    experiment = prepare.stored_experiment(run)
    datasets = []

    def test_input() -> tf.data.Dataset:
        datasets.append(batches_of(sample.test, 384))  # the last batch is smaller
        return datasets[-1]

    ours = estimator.create(experiment, tmp_path / "ours")
    config = run_config.create(experiment, tmp_path / "theirs")
    theirs = tf.estimator.Estimator(model_fn, config=config, params={"experiment": experiment})
    steps = (100, 400, 200)
    evaluated = [ours.evaluate(test_input, checkpoint_path=checkpoints.prefix(run, step)) for step in steps]
    assert len(datasets) == 1, "the same graph for all evaluations"
    for step, figures in zip(steps, evaluated):
        of_tensorflow = theirs.evaluate(test_input, checkpoint_path=checkpoints.prefix(run, step))
        assert figures.pop("loss") == pytest.approx(of_tensorflow.pop("loss"), rel=1e-6)
        assert figures == of_tensorflow


@pytest.mark.parametrize("endless", [lambda data: data.repeat(), lambda data: data.filter(lambda *batch: True)])
def test_an_evaluation_needs_a_dataset_of_known_length(run, sample, tmp_path, endless):
    ours = estimator.create(prepare.stored_experiment(run), tmp_path / "ours")
    with pytest.raises(ValueError, match="cardinality"):
        ours.evaluate(lambda: endless(input_fns.eval_input_fn(sample.test, 384)))


@pytest.mark.parametrize("left", [(), ("model.ckpt-200.index",)], ids=["nothing", "the index"])
def test_the_newest_checkpoint_is_evaluated_if_the_requested_one_is_being_deleted(run, sample, tmp_path, left):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    for path in folder.glob("model.ckpt-200.*"):
        if path.name not in left:
            path.unlink()

    def test_input() -> tf.data.Dataset:
        return indexed.eval_batches(sample.test, 384)

    ours = estimator.create(prepare.stored_experiment(run), folder)
    with pytest.raises((ValueError, tf.errors.NotFoundError)):  # without training beside it, the checkpoint is lost
        ours.evaluate(test_input, checkpoint_path=checkpoints.prefix(folder, 200))
    ours.beside_training = True
    evaluated = ours.evaluate(test_input, checkpoint_path=checkpoints.prefix(folder, 200))
    assert evaluated == ours.evaluate(test_input) and evaluated["global_step"] == 400


def test_the_evaluation_of_the_last_step_keeps_the_outputs_of_its_forward_pass(run, sample, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    experiment = prepare.stored_experiment(folder)
    estimating = estimator.create(experiment, folder, sample)
    last, earlier = (checkpoints.prefix(folder, step) for step in (experiment.total_steps, 300))
    metrics = estimating.evaluate(estimating.split_input_fn, name="test", checkpoint_path=last)
    for path in folder.glob(f"model.ckpt-{experiment.total_steps}.*"):
        path.unlink()  # another forward pass would need it
    classified = estimating.classify(last)
    assert classified.figures == metrics
    outputs = classified.outputs
    images, labels = np.load(sample.test.images), np.load(sample.test.labels)
    assert np.array_equal(outputs["image"], images) and np.array_equal(outputs["label"], labels)
    assert outputs["logits"].shape == (1000, 10) and outputs["hidden"].shape == (1000, 128)
    assert np.mean(outputs["classes"] == labels) == pytest.approx(metrics["accuracy"])
    assert not np.array_equal(estimating.classify(earlier).outputs["logits"], outputs["logits"])


def test_images_are_mapped_and_only_the_first_hidden_outputs_are_kept(run, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(estimator, "MAX_HIDDEN", 600)
    experiment = prepare.stored_experiment(run)
    outputs = estimator.create(experiment, tmp_path, sample).classify(checkpoints.prefix(run, 400)).outputs
    assert outputs["hidden"].shape == (600, 128) and len(outputs["logits"]) == len(outputs["image"]) == 1000
    mapped = outputs["image"]
    while isinstance(mapped.base, np.ndarray):
        mapped = mapped.base
    assert isinstance(mapped, np.memmap)
