"""The part that each task of a cluster takes in a run beside its chief, all of them by `train_and_evaluate`."""

import signal
import time
from pathlib import Path
from typing import Optional

import tensorflow as tf

import input_fns
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import strategies
from estimator_mnist.distribute.tf_config import PS, Task
from estimator_mnist.model_dir import checkpoints, prepare
from estimator_mnist.system import terminal
from estimator_mnist.system.signals import Stopped, Stopper
from estimator_mnist.training import estimator as estimators
from estimator_mnist.training import exporters, train_and_evaluate
from estimator_mnist.training.cluster import hooks
from estimator_mnist.training.cluster.hooks import Cluster, StopAtEnd
from estimator_mnist.training.cluster.peer_monitor import POLL_SECONDS, Watch
from estimator_mnist.training.hooks import EvaluationLog, TrainingLog
from input_fns import InputError

SHOWN_SECONDS = 10.0  # that a file of the chief may take to be seen
THROTTLE_SECONDS = 1  # between two looks of the evaluator for a new checkpoint


def is_trained(experiment: Experiment, model_dir: Path) -> bool:
    """Tells whether the last checkpoint of the run is there."""
    last = experiment.total_steps
    return last in checkpoints.steps(model_dir) and checkpoints.damage(checkpoints.prefix(model_dir, last)) is None


def join(
    task: Optional[Task], experiment: Experiment, model_dir: Path, timeout: float, evaluator: bool
) -> Optional[Cluster]:
    """Makes this process ready for its strategy, and returns the cluster that it is in, None if it is in none.

    Args:
        task: This process's.
        experiment: What the cluster runs.
        model_dir: Its model_dir, the same for all.
        timeout: Seconds within which the tasks have to come together.
        evaluator: Whether one of them evaluates.

    Raises:
        InputError: The batches are too small to be shared by so many replicas.
    """
    strategies.begin(experiment, task)
    if task is None:
        return None
    return Cluster(task, Watch(task, timeout, lambda: is_trained(experiment, model_dir)), evaluator)


def take_part(
    experiment: Experiment, data: input_fns.Data, model_dir: Path, stopper: Stopper, cluster: Cluster, anew: bool
) -> bool:
    """Does what this task has to do until the run is trained, or evaluated; False if there was nothing left of it.

    Args:
        experiment: What to run, as the flags of this task say.
        data: Its data.
        model_dir: A folder that the chief sees, too.
        stopper: Answers signals.
        cluster: What this process takes part in.
        anew: Whether the chief will start the run over.

    Raises:
        InputError: The model_dir is not the chief's, or its experiment another.
        RunError: The loss is not finite.
        Stopped: A signal to this or another task ended the run.
        tf.errors.OpError, OSError: Something could not be read or written.
    """

    def over() -> bool:
        return not anew and is_trained(experiment, model_dir)

    # A ps is called by the chief; all others begin when the chief has put the model_dir in order, and listens.
    if cluster.task.type == PS:
        if over():  # a chief with nothing to train calls none
            return False
    else:
        if not cluster.watch.wait_for(cluster.task.chief, over):
            return False
        stored = _stored(model_dir)
        differences = experiment.differences(stored)
        if differences:
            raise InputError(f"{differences[0]} as for the chief; give all tasks the same flags and --model_dir")

    def test_input() -> tf.data.Dataset:
        return input_fns.eval_input_fn(data.test, experiment.eval_batch_size)

    estimator = estimators.create(experiment, model_dir, cluster.task)
    estimator.beside_training = True
    with terminal.Progress(experiment, 0) as progress:
        watching = [EvaluationLog(experiment.evaluated_split, progress.evaluated), exporters.BestKeeper()]
        log = TrainingLog(None, experiment.steps_per_epoch, lambda step, scalars: None)  # sees that the loss is finite
        if cluster.task.trains:
            start = checkpoints.newest_whole(model_dir)[0]
            first, _ = hooks.around(experiment, cluster, stopper)
            train_hooks = [*first, log, StopAtEnd(experiment.total_steps)]
            train_spec = train_and_evaluate.training_spec(experiment, data, start, train_hooks, cluster.task)
        else:
            train_spec = train_and_evaluate.training_spec(experiment, data, 0, [])  # of which it takes the last step
        stopper.deferring = cluster.task.trains
        if cluster.task.type == PS:
            # TensorFlow's server, once joined, comes back to Python no more: only the signals' own answer ends it.
            for signum in stopper.SIGNALS:
                signal.signal(signum, signal.SIG_DFL)
        cluster.watch.start()
        evaluation_spec = train_and_evaluate.evaluation_spec(experiment, test_input, watching, THROTTLE_SECONDS)
        tf.estimator.train_and_evaluate(estimator, train_spec, evaluation_spec)
    stopper.deferring = False
    cluster.watch.over()
    if stopper.requested:
        raise Stopped(stopper.requested, log.last_step)
    return True


def _stored(model_dir: Path) -> Experiment:
    """Returns what the chief has written, which network file systems show to others after a while."""
    until = time.monotonic() + SHOWN_SECONDS
    while Experiment.read(model_dir) is None and time.monotonic() < until:
        time.sleep(POLL_SECONDS)
    return prepare.stored_experiment(model_dir)
