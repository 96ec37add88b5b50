"""tf.estimator.train_and_evaluate, put together from its parts, and the evaluations that it leaves out."""

import time
from typing import List, NamedTuple, Optional, Sequence

import tensorflow as tf

from estimator_mnist.model_dir import checkpoints, event_files
from estimator_mnist.system.signals import Stopped
from estimator_mnist.training.cluster import hooks as cluster_hooks
from estimator_mnist.training.cluster.hooks import EvaluationListener
from estimator_mnist.training.estimator import Estimator
from estimator_mnist.training.histograms import Histograms
from estimator_mnist.training.hooks import EvaluationLog, EvaluationSaver, Trace, TrainingLog
from estimator_mnist.training.job import Cluster, Job
from estimator_mnist.training.specs import errors_of_augmentation, evaluation_spec, training_spec
from input_fns import InputError

PROFILE = "profile"  # folder in the model_dir for --profile


class Timing(NamedTuple):
    """How long the training of this process took."""

    training: float = 0.0  # seconds from the first epoch to the last
    images_per_second: float = 0.0  # without the first session call; 0 where no step was left to train
    first_step_at: Optional[float] = None  # time.time() when the first session call was done


def resume_point(job: Job) -> int:
    """Returns the step that the run starts or resumes from, and tells the user what is worth knowing about it.

    Raises:
        InputError: There are checkpoints, and none is intact or the newest is another network's.
    """
    start, corrupt = checkpoints.choose(job.model_dir)
    if start in checkpoints.steps(job.model_dir) and start not in corrupt:  # a corrupt step 0 is made again
        other = checkpoints.difference(job.experiment, checkpoints.prefix(job.model_dir, start))
        if other:
            raise InputError(
                f"--model_dir {job.model_dir}: model.ckpt-{start} is of another network ({other}); the network's code "
                "has changed since; restore it, or start over with --clean"
            )
    for step, reason in corrupt.items():
        job.progress.say(f"Skipped model.ckpt-{step}, which is corrupt: {reason}")
    if start:
        new_order = "; the stream starts a new epoch, in a new order" if job.experiment.input == "stream" else ""
        job.progress.say(f"Resuming after step {start:,} of {job.experiment.total_steps:,}{new_order}")
    job.progress.begins(start)
    return start


def evaluate_missed(job: Job, estimator: Estimator, until: int) -> None:
    """Makes the evaluations up to a step that are missing: before the first step, where `train_and_evaluate` makes
    none, and where a kill prevented one."""
    done = event_files.evaluations(job.model_dir)
    for step in [0, *job.experiment.evaluation_steps]:
        if step in done or step > until:
            continue
        checkpoint, name = checkpoints.prefix(job.model_dir, step), job.experiment.evaluated_split
        if checkpoints.corruption(checkpoint) is None:
            figures = estimator.evaluate(estimator.split_input_fn, name=name, checkpoint_path=checkpoint)
        elif step == 0:
            figures = estimator.evaluate_initial(name)
        else:
            continue  # its checkpoint is gone
        job.progress.evaluated(figures, just_trained=False)


def train(job: Job, estimator: Estimator, start: int, exporters: Sequence[tf.estimator.Exporter]) -> Timing:
    """Trains from a step to the end of the run, and evaluates each checkpoint as it comes.

    Raises:
        RunError: The loss is not finite.
        Stopped: A signal ended the run, at a step that is saved.
        tf.errors.OpError, OSError: Something could not be read or written.
    """
    if start >= job.experiment.total_steps:
        return Timing()
    job.stopper.deferring = True
    log = TrainingLog(job.model_dir, job.experiment.steps_per_epoch, job.progress.trained)
    _train_and_evaluate(job, estimator, start, log, exporters)
    job.stopper.deferring = False
    if job.stopper.requested:
        raise Stopped(job.stopper.requested, checkpoints.newest_intact(job.model_dir)[0])
    return Timing(log.total.seconds, log.steady.images_per_second, log.first_step_at)


def _train_and_evaluate(
    job: Job, estimator: Estimator, start: int, log: TrainingLog, exporters: Sequence[tf.estimator.Exporter]
) -> None:
    experiment, cluster = job.experiment, job.cluster
    observers = [EvaluationLog(experiment.evaluated_split, job.progress.evaluated), *exporters]
    listeners: List[tf.estimator.CheckpointSaverListener] = [Histograms(experiment, job.data.train, job.model_dir)]
    first: List[tf.estimator.SessionRunHook] = []
    stopping = job.stopper.is_requested
    if cluster:
        first, stopping = cluster_hooks.around(experiment, cluster, job.stopper)
        if not cluster.evaluator:
            listeners.append(EvaluationListener(estimator, experiment.evaluated_split, observers))
        cluster.monitor.start()
    saver = EvaluationSaver(job.model_dir, experiment.evaluation_steps, start, stopping, listeners)
    traces = [Trace(job.model_dir / PROFILE)] if experiment.profile else []
    train_spec = training_spec(experiment, job.data, start, [*first, log, saver, *traces], job.task)
    eval_spec = evaluation_spec(experiment, estimator.split_input_fn, observers)
    with errors_of_augmentation(experiment):
        tf.estimator.train_and_evaluate(estimator, train_spec, eval_spec)


def wait_for_evaluator(job: Job, cluster: Cluster) -> None:
    """Waits until the evaluator of a cluster has made the last evaluation, at most --cluster_timeout seconds."""
    cluster.monitor.over()
    until = time.monotonic() + cluster.monitor.timeout
    while cluster.evaluator and time.monotonic() < until:
        if job.experiment.total_steps in event_files.evaluations(job.model_dir):
            return
        time.sleep(cluster_hooks.WAIT_SECONDS)
