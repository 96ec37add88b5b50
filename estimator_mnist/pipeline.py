"""The experiment at a glance: train -> evaluate -> export -> report -> results."""

import statistics
import time
from typing import Any, Dict, Tuple

import tensorflow as tf

from estimator_mnist.architectures import create_network
from estimator_mnist.evaluation import classify_split
from estimator_mnist.evaluation.metrics import Classified
from estimator_mnist.model.training_progress import EPOCH_LOSS
from estimator_mnist.model_dir import checkpoints, event_files, results
from estimator_mnist.report import artifacts, html_page
from estimator_mnist.report.run_curves import History
from estimator_mnist.training import estimator as estimators
from estimator_mnist.training import exporters
from estimator_mnist.training.job import Job
from estimator_mnist.training.train_and_evaluate import evaluate_missed, resume_point, train, wait_for_evaluator


def run(job: Job, started: float) -> Tuple[Dict[str, Any], Classified]:
    """Runs an experiment to its end from wherever its model_dir stands. `started`: time.time() at the process's start.

    Returns:
        The content of results.json, and the evaluated split as the trained network classifies it.

    Raises:
        InputError: There are checkpoints, and none is intact.
        RunError: The loss is not finite.
        Stopped: A signal ended the run; the step is saved.
        tf.errors.OpError, OSError: Something could not be read or written.
    """
    experiment, model_dir, last_step = job.experiment, job.model_dir, job.experiment.total_steps
    network = create_network(experiment)
    job.progress.network(network.table())
    estimator = estimators.create(experiment, model_dir, job.data, job.task)

    start = resume_point(job)
    with job.progress:
        if not (job.cluster and job.cluster.evaluator):
            evaluate_missed(job, estimator, start)
        with exporters.of_run(job, start) as savers:
            timing = train(job, estimator, start, savers)  # and evaluate each checkpoint as it comes
            if job.cluster:
                wait_for_evaluator(job, job.cluster)
                evaluate_missed(job, estimator, last_step)
            evaluation_seconds, evaluations = estimator.evaluation_seconds, event_files.evaluations(model_dir)
            export_seconds = exporters.finish(savers, estimator, evaluations, last_step)

    train_loss = results.epoch_means(experiment, estimator.get_variable_value(EPOCH_LOSS).tolist())
    history = History(train_loss, event_files.scalars(model_dir), evaluations)
    classified = classify_split.by_checkpoint(experiment, estimator, checkpoints.prefix(model_dir, last_step))
    pictures = artifacts.make(experiment, classified, history, model_dir)

    # Where no step was left to train, the throughput that the processes before this one have logged.
    logged = history.training.get("images_per_second", {0: 0.0}).values()
    speed = timing.images_per_second or statistics.median(logged)
    to_first_step = (timing.first_step_at or started) - started
    seconds = results.Seconds(
        to_first_step, timing.training, evaluation_seconds, export_seconds, total=time.time() - started
    )
    measured = results.Measured(network.parameters, train_loss, evaluations, speed, seconds, tf.__version__)
    outcome = results.collect(experiment, measured)
    html_page.write(experiment, outcome, pictures, model_dir)
    results.write(outcome, model_dir)  # last: where it is, everything else is
    return outcome, classified
