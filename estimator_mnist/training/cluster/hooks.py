"""Session hooks of a training that several processes share."""

import signal
import time
from typing import Callable, List, Sequence, Tuple

import tensorflow as tf

from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute import stop_agreement
from estimator_mnist.model import training_progress
from estimator_mnist.model_dir import checkpoints, saved_models
from estimator_mnist.system.errors import LOST, RunError
from estimator_mnist.system.paths import path_of
from estimator_mnist.system.signals import Stopper
from estimator_mnist.training.cluster.peer_monitor import PeerMonitor
from estimator_mnist.training.estimator import Estimator
from estimator_mnist.training.job import Cluster

WAIT_SECONDS = 0.1  # between two looks at the progress of the others


def around(
    experiment: Experiment, cluster: Cluster, stopper: Stopper
) -> Tuple[List[tf.estimator.SessionRunHook], Callable[[], bool]]:
    """Returns the hooks of a task that trains, which must be the first, and a function that tells whether to stop."""
    heartbeat = Heartbeat(cluster.monitor)
    if experiment.strategy == "parameter_server":
        waiting = WaitForOthers(experiment.total_steps, cluster.monitor, stopper.is_requested)
        return [heartbeat, waiting], stopper.is_requested
    if len(cluster.task.trainers) == 1:
        return [heartbeat], stopper.is_requested
    together = StopTogether(stopper)
    return [heartbeat, together], lambda: together.agreed


class Heartbeat(tf.estimator.SessionRunHook):
    """Tells the PeerMonitor when a session call runs.

    Must be the first hook, so that other hooks' time does not count as waiting.
    """

    def __init__(self, monitor: PeerMonitor):
        self._monitor = monitor
        self._begun = False

    def after_create_session(self, session, coord):
        if self._begun:  # Estimator recreates a lost session, and would do so for ever
            raise RunError(LOST)
        self._begun = True
        self._monitor.formed()

    def before_run(self, run_context):
        self._monitor.call(begins=True)

    def after_run(self, run_context, run_values):
        self._monitor.call(begins=False)


class StopTogether(tf.estimator.SessionRunHook):
    """Ends the training of all processes after the same step when one of them is asked to end.

    It also checks that they have started from the same step.
    """

    def __init__(self, stopper: Stopper):
        self._stopper = stopper
        self.agreed = False

    def before_run(self, run_context):
        asked = {stop_agreement.STOP_REQUESTED: float(self._stopper.is_requested())}
        return tf.estimator.SessionRunArgs([stop_agreement.STOPS_REQUESTED, stop_agreement.SAME_STEP], feed_dict=asked)

    def after_run(self, run_context, run_values):
        requests, same_step = run_values.results
        if not same_step:
            raise RunError("--model_dir: the tasks resumed from different steps; all of them must see the same folder")
        if requests > 0:
            self.agreed = True
            self._stopper.requested = self._stopper.requested or signal.SIGTERM
            run_context.request_stop()


class StopAtEnd(tf.estimator.SessionRunHook):
    """Ends the training of a task that saves nothing after the last step. Where checkpoints are saved, EvaluationSaver
    does so.

    Estimator's own StopAtStepHook expects one step a call, and would make one call too many.
    """

    def __init__(self, total_steps: int):
        self._total_steps = total_steps

    def before_run(self, run_context):
        return tf.estimator.SessionRunArgs(training_progress.TRAIN_STEP)

    def after_run(self, run_context, run_values):
        if run_values.results >= self._total_steps:
            run_context.request_stop()


class WaitForOthers(tf.estimator.SessionRunHook):
    """Makes a process whose own batches are done wait for those of all, so that the run ends for all at once."""

    def __init__(self, total_steps: int, monitor: PeerMonitor, stopping: Callable[[], bool]):
        self._total_steps = total_steps
        self._monitor = monitor
        self._stopping = stopping

    def begin(self):
        self._global_step = tf.compat.v1.train.get_global_step()

    def end(self, session):
        self._monitor.call(begins=True)
        while not self._stopping() and int(session.run(self._global_step)) < self._total_steps:
            time.sleep(WAIT_SECONDS)
        self._monitor.call(begins=False)


class EvaluationListener(tf.estimator.CheckpointSaverListener):
    """Evaluates each checkpoint in the chief of a cluster that has no evaluator, as Estimator does outside clusters."""

    def __init__(self, estimator: Estimator, name: str, exporters: Sequence[tf.estimator.Exporter]):
        """
        Args:
            estimator: What to evaluate with, on its split.
            name: Of the evaluation.
            exporters: Called with each result, as by `train_and_evaluate`.
        """
        self._estimator = estimator
        self._name = name
        self._exporters = exporters
        self._begun = False

    def after_save(self, session, global_step_value):
        if not self._begun:  # the checkpoint that the run starts from is evaluated already
            self._begun = True
            return
        model_dir = path_of(self._estimator.model_dir)
        checkpoint = checkpoints.prefix(model_dir, int(global_step_value))
        result = self._estimator.evaluate(self._estimator.split_input_fn, name=self._name, checkpoint_path=checkpoint)
        for exporter in self._exporters:
            folder = str(model_dir / saved_models.FOLDER / exporter.name)
            exporter.export(self._estimator, folder, checkpoint, result, is_the_final_export=False)
