"""train_and_evaluate, put together from its parts, and what is made of its end."""

import statistics
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import tensorflow as tf

import input_fns
from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies
from estimator_mnist.distribute.tf_config import Task
from estimator_mnist.model.training_progress import EPOCH_LOSS
from estimator_mnist.model_dir import checkpoints, event_files, results
from estimator_mnist.report import artifacts
from estimator_mnist.report import html_page as report
from estimator_mnist.report.artifacts import Ending
from estimator_mnist.system import terminal
from estimator_mnist.system.paths import path_of
from estimator_mnist.system.signals import Stopped, Stopper
from estimator_mnist.training import estimator as estimators
from estimator_mnist.training import exporters
from estimator_mnist.training.cluster import hooks as cluster_hooks
from estimator_mnist.training.cluster.hooks import Cluster, EvaluationListener
from estimator_mnist.training.estimator import InputFn
from estimator_mnist.training.histograms import Histograms
from estimator_mnist.training.hooks import EvaluationLog, EvaluationSaver, Trace, TrainingLog

PROFILE = "profile"  # folder in the model_dir for --profile


def run(
    experiment: Experiment,
    data: input_fns.Data,
    model_dir: Path,
    started: float,
    stopper: Stopper,
    cluster: Optional[Cluster] = None,
) -> Tuple[Dict[str, Any], Ending]:
    """Trains to the end from wherever the model_dir stands, evaluates, and leaves plots, report and results.json.

    Args:
        experiment: What to run.
        data: Its data.
        model_dir: A folder that is empty or holds a part of this very experiment.
        started: time.time() when the process began.
        stopper: Answers signals.
        cluster: Where this process is the chief of one.

    Returns:
        The content of results.json, and the evaluated split as the trained network classifies it.

    Raises:
        InputError: No checkpoint is whole.
        RunError: The loss is not finite.
        Stopped: A signal ended the run.
        tf.errors.OpError, OSError: Something could not be read or written.
    """
    network = create_network(experiment)
    terminal.show_network(network.table())
    estimator = estimators.create(experiment, model_dir, cluster.task if cluster else None)

    def test_input() -> tf.data.Dataset:
        return input_fns.eval_input_fn(data.test, experiment.eval_batch_size)

    seconds = {"to_first_step": 0.0, "training": 0.0, "evaluation": 0.0, "export": 0.0, "total": 0.0}

    start = _go_on_from(experiment, model_dir)
    with terminal.Progress(experiment, start) as progress:
        if not (cluster and cluster.evaluator):
            _evaluate_what_was_missed(estimator, experiment, test_input, start, progress)
        log = TrainingLog(model_dir, experiment.steps_per_epoch, progress.trained)
        with exporters.of_run(experiment, model_dir, start, event_files.evaluations(model_dir)) as exports:
            if start < experiment.total_steps:
                stopper.deferring = True
                watching = [EvaluationLog(experiment.evaluated_split, progress.evaluated), *exports]
                _train_and_evaluate(estimator, experiment, data, test_input, start, log, watching, stopper, cluster)
                stopper.deferring = False
                seconds["training"] = log.total.seconds
                seconds["to_first_step"] = (log.first_step_at or started) - started
            if stopper.requested:
                raise Stopped(stopper.requested, checkpoints.newest_whole(model_dir)[0])
            if cluster:
                cluster.watch.over()
                _wait_for_evaluator(experiment, model_dir, cluster)
                _evaluate_what_was_missed(estimator, experiment, test_input, experiment.total_steps, progress)
            seconds["evaluation"] = estimator.evaluation_seconds
            tests = event_files.evaluations(model_dir)
            seconds["export"] = exporters.finish(exports, estimator, tests, experiment.total_steps)

    epoch_loss = estimator.get_variable_value(EPOCH_LOSS).tolist()
    training = event_files.scalars(model_dir)
    outcome = results.collect(
        experiment,
        network.parameters,
        tests,
        epoch_loss,
        # Where this process had no step left to train: what those before it logged.
        log.steady.images_per_second or statistics.median(training.get("images_per_second", {0: 0.0}).values()),
        seconds,
        tf.__version__,
    )
    ended = artifacts.make(experiment, data, outcome["train_loss"], training, tests, model_dir)
    outcome["seconds"]["total"] = time.time() - started
    report.write(experiment, outcome, ended, model_dir)
    results.write(outcome, model_dir)  # last: where it is, all the rest is
    return outcome, ended


def _go_on_from(experiment: Experiment, model_dir: Path) -> int:
    """Returns the step to go on from, and says what the user should know about it."""
    start, skipped = checkpoints.choose(model_dir)
    for step, wrong in skipped.items():
        terminal.say(f"Passed over model.ckpt-{step}, which is damaged: {wrong}")
    if start:
        new_order = "; the stream starts a new epoch, in a new order" if experiment.input == "stream" else ""
        terminal.say(f"Going on after step {start:,} of {experiment.total_steps:,}{new_order}")
    return start


def _evaluate_what_was_missed(
    estimator: estimators.Estimator,
    experiment: Experiment,
    test_input: InputFn,
    start: int,
    progress: terminal.Progress,
) -> None:
    """Makes the evaluation before the first step, which `train_and_evaluate` skips, and those that a kill prevented."""
    model_dir = path_of(estimator.model_dir)
    done = event_files.evaluations(model_dir)
    for step in [0, *experiment.evaluation_steps]:
        if step in done or step > start:
            continue
        checkpoint = checkpoints.prefix(model_dir, step)
        if checkpoints.damage(checkpoint) is None:
            result = estimator.evaluate(test_input, name=experiment.evaluated_split, checkpoint_path=checkpoint)
        elif step == 0:
            result = estimator.evaluate_initial(test_input, name=experiment.evaluated_split)
        else:
            continue  # its checkpoint is gone, and with it what could be evaluated
        progress.evaluated(result, just_trained=False)


def _train_and_evaluate(
    estimator: estimators.Estimator,
    experiment: Experiment,
    data: input_fns.Data,
    test_input: InputFn,
    start: int,
    log: TrainingLog,
    watching: Sequence[tf.estimator.Exporter],
    stopper: Stopper,
    cluster: Optional[Cluster],
) -> None:
    model_dir = path_of(estimator.model_dir)
    listeners: List[tf.estimator.CheckpointSaverListener] = [Histograms(experiment, data.train, model_dir)]
    first: List[tf.estimator.SessionRunHook] = []
    stopping = stopper.is_requested
    if cluster:
        first, stopping = cluster_hooks.around(experiment, cluster, stopper)
        if not cluster.evaluator:
            listeners.append(EvaluationListener(estimator, test_input, experiment.evaluated_split, watching))
        cluster.watch.start()
    saver = EvaluationSaver(model_dir, experiment.evaluation_steps, start, stopping, listeners)
    traces = [Trace(model_dir / PROFILE)] if experiment.profile else []
    task = cluster.task if cluster else None
    train_spec = training_spec(experiment, data, start, [*first, log, saver, *traces], task)
    tf.estimator.train_and_evaluate(estimator, train_spec, evaluation_spec(experiment, test_input, watching))


def training_spec(
    experiment: Experiment,
    data: input_fns.Data,
    start: int,
    hooks: Sequence[tf.estimator.SessionRunHook],
    task: Optional[Task] = None,
) -> tf.estimator.TrainSpec:
    """Returns what `train_and_evaluate` trains on, from a step on, in one process or in a task of a cluster."""
    return tf.estimator.TrainSpec(
        input_fn=lambda: input_fns.train_input_fn(
            data.train,
            batch_size=experiment.batch_size,
            seed=experiment.seed,
            stops=experiment.evaluation_steps,
            start=start,
            steps_per_block=experiment.steps_per_loop,
            input=experiment.input,
            augment=experiment.augment,
            augment_strength=experiment.augment_strength,
            first_examples=experiment.curvature_examples,
            share=strategies.share(experiment, task),
        ),
        max_steps=experiment.total_steps,
        hooks=hooks,
    )


def evaluation_spec(
    experiment: Experiment,
    input_fn: InputFn,
    watching: Sequence[tf.estimator.Exporter],
    throttle_seconds: int = 0,
) -> tf.estimator.EvalSpec:
    """Returns what `train_and_evaluate` evaluates: by default every checkpoint, however soon it comes."""
    return tf.estimator.EvalSpec(
        input_fn=input_fn,
        steps=None,  # all of the split
        name=experiment.evaluated_split,
        exporters=watching,
        start_delay_secs=0,
        throttle_secs=throttle_seconds,
    )


def _wait_for_evaluator(experiment: Experiment, model_dir: Path, cluster: Cluster) -> None:
    """Waits for the last evaluation. It is made here if the evaluator, or its machine, does not come to it."""
    until = time.monotonic() + cluster.watch.timeout
    while cluster.evaluator and time.monotonic() < until:
        if experiment.total_steps in event_files.evaluations(model_dir):
            return
        time.sleep(cluster_hooks.WAIT_SECONDS)
