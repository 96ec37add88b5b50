"""What each task of a cluster does in a run beside its chief, all of them by `train_and_evaluate`."""

import signal
import time
from pathlib import Path
from typing import Optional

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies
from estimator_mnist.distribute.tf_config import PS, Task
from estimator_mnist.model_dir import checkpoints, prepare
from estimator_mnist.system.signals import Stopped
from estimator_mnist.training import estimator as estimators
from estimator_mnist.training import exporters
from estimator_mnist.training.cluster import hooks
from estimator_mnist.training.cluster.hooks import StopAtEnd
from estimator_mnist.training.cluster.peer_monitor import POLL_SECONDS, PeerMonitor
from estimator_mnist.training.hooks import EvaluationLog, TrainingLog
from estimator_mnist.training.job import Cluster, Job
from estimator_mnist.training.specs import errors_of_augmentation, evaluation_spec, training_spec
from input_fns import InputError

VISIBLE_SECONDS = 10.0  # that a network file system may take to show a file of the chief
THROTTLE_SECONDS = 1  # between two looks of the evaluator for a new checkpoint


def is_trained(experiment: Experiment, model_dir: Path) -> bool:
    """Tells whether the last checkpoint of the run is there."""
    last = experiment.total_steps
    return last in checkpoints.steps(model_dir) and checkpoints.corruption(checkpoints.prefix(model_dir, last)) is None


def join(
    task: Optional[Task], experiment: Experiment, model_dir: Path, timeout: float, evaluator: bool
) -> Optional[Cluster]:
    """Makes this process ready for its strategy, and returns the cluster that it belongs to, None if to none.

    Args:
        task: This process's.
        experiment: What the cluster runs.
        model_dir: Its model_dir, the same for all.
        timeout: Seconds within which all tasks have to be there.
        evaluator: Whether one of them evaluates.

    Raises:
        InputError: The batches are too small to be shared by so many replicas.
    """
    strategies.begin(experiment, task)
    if task is None:
        return None
    return Cluster(task, PeerMonitor(task, timeout, lambda: is_trained(experiment, model_dir)), evaluator)


def take_part(job: Job, cluster: Cluster, clean: bool) -> bool:
    """Does this task's part until the run is trained, or evaluated. Returns False if nothing of it was left to do.

    Args:
        job: What to run, as the flags of this task say, in a folder that the chief sees, too.
        cluster: That this task belongs to.
        clean: Whether the chief will start the run over.

    Raises:
        InputError: The model_dir is not the chief's, or its experiment another.
        RunError: The loss is not finite.
        Stopped: A signal to this or another task ended the run.
        tf.errors.OpError, OSError: Something could not be read or written.
    """
    if not _is_needed(job, cluster, clean):
        return False
    # Sees that the loss is finite. The chief writes the curves.
    log = TrainingLog(None, job.experiment.steps_per_epoch, lambda step, scalars: None)
    estimator = estimators.create(job.experiment, job.model_dir, job.data, cluster.task)
    estimator.beside_training = True
    job.stopper.deferring = cluster.task.trains
    if cluster.task.type == PS:
        # TensorFlow's server, once joined, never returns to Python: only the signals' default action ends it.
        for signum in job.stopper.SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
    with job.progress:
        train_spec = _train_spec(job, cluster, log)
        observers = [EvaluationLog(job.experiment.evaluated_split, job.progress.evaluated), exporters.BestKeeper()]
        eval_spec = evaluation_spec(job.experiment, estimator.split_input_fn, observers, THROTTLE_SECONDS)
        cluster.monitor.start()
        with errors_of_augmentation(job.experiment):
            tf.estimator.train_and_evaluate(estimator, train_spec, eval_spec)
    job.stopper.deferring = False
    cluster.monitor.over()
    if job.stopper.requested:
        raise Stopped(job.stopper.requested, log.last_step)
    return True


def _is_needed(job: Job, cluster: Cluster, clean: bool) -> bool:
    """Waits until this task can begin, and tells whether there is something left for it to do."""

    def over() -> bool:
        return not clean and is_trained(job.experiment, job.model_dir)

    # The chief calls the parameter servers. All others begin when the chief has prepared the model_dir, and listens.
    if cluster.task.type == PS:
        return not over()  # a chief with nothing to train calls none
    if not cluster.monitor.wait_for(cluster.task.chief, over):
        return False
    differences = job.experiment.differences(_stored(job.model_dir))
    if differences:
        raise InputError(f"{differences[0]} as for the chief; give all tasks the same flags and --model_dir")
    return True


def _train_spec(job: Job, cluster: Cluster, log: TrainingLog) -> tf.estimator.TrainSpec:
    if not cluster.task.trains:
        return training_spec(job.experiment, job.data, 0, [])  # of which it uses the last step
    start = checkpoints.newest_intact(job.model_dir)[0]
    first, _ = hooks.around(job.experiment, cluster, job.stopper)
    all_hooks = [*first, log, StopAtEnd(job.experiment.total_steps)]
    return training_spec(job.experiment, job.data, start, all_hooks, cluster.task)


def _stored(model_dir: Path) -> Experiment:
    """Returns what the chief has written, which network file systems show to others after a while."""
    until = time.monotonic() + VISIBLE_SECONDS
    while Experiment.read(model_dir) is None and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    return prepare.stored_experiment(model_dir)
