"""What watches a training that several processes share."""

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
from estimator_mnist.training.cluster.peer_monitor import Watch
from estimator_mnist.training.estimator import Estimator
from estimator_mnist.training.job import Cluster

WAIT_SECONDS = 0.1  # between two looks at how far the others are


def around(
    experiment: Experiment, cluster: Cluster, stopper: Stopper
) -> Tuple[List[tf.estimator.SessionRunHook], Callable[[], bool]]:
    """Returns the hooks of a task that trains, to come before all others, and what tells whether it is to stop."""
    pulse = Pulse(cluster.watch)
    if experiment.strategy == "parameter_server":
        waiting = WaitForOthers(experiment.total_steps, cluster.watch, stopper.is_requested)
        return [pulse, waiting], stopper.is_requested
    if len(cluster.task.trainers) == 1:
        return [pulse], stopper.is_requested
    together = StopTogether(stopper)
    return [pulse, together], lambda: together.agreed


class Pulse(tf.estimator.SessionRunHook):
    """Tells a Watch where the training is. To be the first of the hooks: in what the others do nobody waits."""

    def __init__(self, watch: Watch):
        self._watch = watch
        self._begun = False

    def after_create_session(self, session, coord):
        if self._begun:  # Estimator begins anew where a session was lost, and would do so without end
            raise RunError(LOST)
        self._begun = True
        self._watch.formed()

    def before_run(self, run_context):
        self._watch.call(begins=True)

    def after_run(self, run_context, run_values):
        self._watch.call(begins=False)


class StopTogether(tf.estimator.SessionRunHook):
    """Ends the training of all processes after the same step when one of them is asked to end, and sees to it that they
    have begun at the same one."""

    def __init__(self, stopper: Stopper):
        self._stopper = stopper
        self.agreed = False

    def before_run(self, run_context):
        asked = {stop_agreement.STOP_REQUESTED: float(self._stopper.is_requested())}
        return tf.estimator.SessionRunArgs([stop_agreement.STOPS_REQUESTED, stop_agreement.SAME_STEP], feed_dict=asked)

    def after_run(self, run_context, run_values):
        requests, same_step = run_values.results
        if not same_step:
            raise RunError("--model_dir: the tasks went on from different steps; all have to see the same folder")
        if requests > 0:
            self.agreed = True
            self._stopper.requested = self._stopper.requested or signal.SIGTERM
            run_context.request_stop()


class StopAtEnd(tf.estimator.SessionRunHook):
    """Ends the training of a task that saves nothing after the last step, as EvaluationSaver does where it saves.

    Estimator's own StopAtStepHook expects calls of one step each, and would ask for one call too many.
    """

    def __init__(self, total_steps: int):
        self._total_steps = total_steps

    def before_run(self, run_context):
        return tf.estimator.SessionRunArgs(training_progress.TRAIN_STEP)

    def after_run(self, run_context, run_values):
        if run_values.results >= self._total_steps:
            run_context.request_stop()


class WaitForOthers(tf.estimator.SessionRunHook):
    """Keeps a process whose own batches are done until those of all are: the run has ended for all at once."""

    def __init__(self, total_steps: int, watch: Watch, stopping: Callable[[], bool]):
        self._total_steps = total_steps
        self._watch = watch
        self._stopping = stopping

    def begin(self):
        self._global_step = tf.compat.v1.train.get_global_step()

    def end(self, session):
        self._watch.call(begins=True)
        while not self._stopping() and int(session.run(self._global_step)) < self._total_steps:
            time.sleep(WAIT_SECONDS)
        self._watch.call(begins=False)


class EvaluationListener(tf.estimator.CheckpointSaverListener):
    """Evaluates each checkpoint in the chief, as Estimator does outside a cluster, where no task does it."""

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
        if not self._begun:  # what the run begins with is evaluated already
            self._begun = True
            return
        model_dir = path_of(self._estimator.model_dir)
        checkpoint = checkpoints.prefix(model_dir, int(global_step_value))
        result = self._estimator.evaluate(self._estimator.split_input_fn, name=self._name, checkpoint_path=checkpoint)
        for exporter in self._exporters:
            folder = str(model_dir / saved_models.FOLDER / exporter.name)
            exporter.export(self._estimator, folder, checkpoint, result, is_the_final_export=False)
