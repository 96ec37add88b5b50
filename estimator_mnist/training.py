"""train_and_evaluate, put together from its parts, and what is made of its end."""

import statistics
import time
from pathlib import Path
from typing import Any, Dict, List, Tuple

import tensorflow as tf

import input_fns
from estimator_mnist import events, networks, plots, results, run_config, terminal
from estimator_mnist.experiment import Experiment
from estimator_mnist.hooks import EvaluationLog, EvaluationSaver, TrainingLog
from estimator_mnist.model_fn import EPOCH_LOSS, model_fn

TEST = "test"  # the name of the evaluations: Estimator writes them to eval_test
SHOWN_PREDICTIONS = 6


def create_estimator(experiment: Experiment, model_dir: Path) -> tf.estimator.Estimator:
    config = run_config.create(experiment, model_dir)
    return tf.estimator.Estimator(model_fn, config=config, params={"experiment": experiment})


def run(experiment: Experiment, data: input_fns.Data, model_dir: Path, started: float) -> Dict[str, Any]:
    """Trains to the end from wherever the model_dir stands, evaluates, and leaves results.json and plots.

    Args:
        experiment: What to run.
        data: Its data.
        model_dir: A folder that is empty or holds a part of this very experiment.
        started: time.time() when the process began.

    Returns:
        The content of results.json.
    """
    network = networks.create(experiment)
    terminal.show_network(network.table())
    estimator = create_estimator(experiment, model_dir)
    seconds = {"to_first_step": 0.0, "training": 0.0, "evaluation": 0.0, "export": 0.0, "total": 0.0}

    start = newest_step(estimator)
    if start:
        terminal.say(f"Going on after step {start:,} of {experiment.total_steps:,}")
    with terminal.Progress(experiment, start) as progress:
        if start not in evaluations(model_dir):  # not trained yet, or killed before this evaluation was done
            began = time.perf_counter()
            progress.evaluated(estimator.evaluate(lambda: _test_input(experiment, data), name=TEST))
            seconds["evaluation"] = time.perf_counter() - began
        log = TrainingLog(model_dir, experiment.steps_per_epoch, progress.trained)
        if start < experiment.total_steps:
            began = time.perf_counter()
            _train_and_evaluate(estimator, experiment, data, start, log, progress)
            seconds["training"] = log.total.seconds
            seconds["evaluation"] += time.perf_counter() - began - log.total.seconds
            seconds["to_first_step"] = (log.first_step_at or started) - started

    epoch_loss = estimator.get_variable_value(EPOCH_LOSS).tolist()
    seconds["total"] = time.time() - started
    outcome = results.collect(
        experiment,
        network.parameters,
        evaluations(model_dir),
        epoch_loss,
        log.steady.images_per_second or _earlier_images_per_second(model_dir),
        seconds,
        tf.__version__,
    )
    plots.write_training_loss(
        outcome["train_loss"], events.scalars(model_dir), evaluations(model_dir), model_dir, experiment.steps_per_epoch
    )
    results.write(outcome, model_dir)
    return outcome


def _train_and_evaluate(
    estimator: tf.estimator.Estimator,
    experiment: Experiment,
    data: input_fns.Data,
    start: int,
    log: TrainingLog,
    progress: terminal.Progress,
) -> None:
    train_spec = tf.estimator.TrainSpec(
        input_fn=lambda: input_fns.train_input_fn(
            data.train,
            batch_size=experiment.batch_size,
            seed=experiment.seed,
            stops=experiment.evaluation_steps,
            start=start,
            steps_per_block=experiment.steps_per_loop,
            input=experiment.input,
        ),
        max_steps=experiment.total_steps,
        hooks=[log, EvaluationSaver(Path(estimator.model_dir), experiment.evaluation_steps)],
    )
    eval_spec = tf.estimator.EvalSpec(
        input_fn=lambda: _test_input(experiment, data),
        steps=None,  # all of the test split
        name=TEST,
        exporters=[EvaluationLog(progress.evaluated)],
        start_delay_secs=0,
        throttle_secs=0,  # after every checkpoint, however soon it comes
    )
    tf.estimator.train_and_evaluate(estimator, train_spec, eval_spec)


def _test_input(experiment: Experiment, data: input_fns.Data) -> tf.data.Dataset:
    return input_fns.eval_input_fn(data.test, experiment.eval_batch_size)


def _earlier_images_per_second(model_dir: Path) -> float:
    """Returns the median of what the processes before this one logged, for one that had no step left to train."""
    logged = events.scalars(model_dir).get("images_per_second", {})
    return statistics.median(logged.values()) if logged else 0.0


def newest_step(estimator: tf.estimator.Estimator) -> int:
    """Returns the step of the newest checkpoint, 0 if there is none."""
    return int(estimator.get_variable_value("global_step")) if estimator.latest_checkpoint() else 0


def evaluations(model_dir: Path) -> Dict[int, Dict[str, float]]:
    """Returns {step: {"loss", "accuracy", ...}}, the evaluations on the test split so far."""
    found: Dict[int, Dict[str, float]] = {}
    for tag, values in events.scalars(model_dir / f"eval_{TEST}").items():
        for step, value in values.items():
            found.setdefault(step, {})[tag] = value
    return {step: result for step, result in found.items() if {"loss", "accuracy"} <= set(result)}


def first_predictions(
    experiment: Experiment, data: input_fns.Data, model_dir: Path
) -> Tuple[List[Dict[str, Any]], List[int]]:
    """Returns what the trained network says of the first test images, and their labels."""
    estimator = create_estimator(experiment, model_dir)
    labels: List[int] = []

    def input_fn() -> tf.data.Dataset:
        return input_fns.predict_input_fn(data.test, experiment.eval_batch_size, SHOWN_PREDICTIONS)

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        labels = session.run(tf.compat.v1.data.make_one_shot_iterator(input_fn()).get_next())[1].tolist()
    return list(estimator.predict(input_fn)), labels
