"""Session hooks of every run: progress and TensorBoard's scalars, and checkpoints at the steps of the evaluations."""

import bisect
import math
import time
from pathlib import Path
from typing import Any, Callable, Dict, Optional, Sequence

import tensorflow as tf

from estimator_mnist.model import training_progress
from estimator_mnist.system.errors import RunError

NOT_FINITE = (
    "the {what} loss is {loss} at step {step}; the checkpoints before it are kept; try a lower --learning_rate "
    "in another --model_dir or with --clean"
)
LOGS_PER_EPOCH = 20  # points of TensorBoard's training curves


class TrainingLog(tf.estimator.SessionRunHook):
    """Shows progress, and logs loss, accuracy, learning rate and images per second as means since the last point."""

    def __init__(self, model_dir: Optional[Path], steps_per_epoch: int, show: Callable[[int, Dict[str, float]], None]):
        """
        Args:
            model_dir: Where TensorBoard will look; None: nothing is written.
            steps_per_epoch: Sets how often scalars are written.
            show: Called with the step and the scalars after every session call.
        """
        self._model_dir = model_dir
        self._every = max(1, steps_per_epoch // LOGS_PER_EPOCH)
        self._show = show
        self._writer: Any = None
        self._logged_step = 0
        self._interval = Totals()
        self.total = Totals()
        self.steady = Totals()  # without the first session call, which warms up
        self.last_step: Optional[int] = None  # that was trained
        self.first_step_at: Optional[float] = None  # time.time() when the first session call was done

    def after_create_session(self, session, coord):
        self._logged_step = int(session.run(tf.compat.v1.train.get_global_step()))
        if self._model_dir is None:
            return
        self._writer = tf.compat.v1.summary.FileWriterCache.get(str(self._model_dir))
        # Tells TensorBoard to forget what a killed process wrote for later steps.
        start = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
        self._writer.add_session_log(start, self._logged_step + 1)

    def before_run(self, run_context):
        self._began = time.perf_counter()
        return tf.estimator.SessionRunArgs(
            {
                "step": training_progress.TRAIN_STEP,
                "last_good_step": training_progress.LAST_GOOD_STEP,
                "images": training_progress.TRAIN_IMAGES,
                "loss": training_progress.TRAIN_LOSS,
                "accuracy": training_progress.TRAIN_ACCURACY,
                "learning_rate": training_progress.LEARNING_RATE,
            }
        )

    def after_run(self, run_context, run_values):
        values, seconds = run_values.results, time.perf_counter() - self._began
        step = int(values["step"])
        if values["last_good_step"] < step:
            bad = int(values["last_good_step"]) + 1
            raise RunError(NOT_FINITE.format(what="training", loss=values["loss"], step=bad))
        self.last_step = step
        self._interval.add(values, seconds)
        self.total.add(values, seconds)
        if self.first_step_at is None:
            self.first_step_at = time.time()
        else:
            self.steady.add(values, seconds)
        scalars = {**self._interval.means(), "learning_rate": float(values["learning_rate"])}
        self._show(step, scalars)
        # Independent of the step that the process resumed from: a killed run has the same points.
        if step // self._every > self._logged_step // self._every:
            if self._writer:
                summary = tf.compat.v1.Summary()
                for tag, value in scalars.items():
                    summary.value.add(tag=tag, simple_value=value)
                self._writer.add_summary(summary, step)
            self._logged_step, self._interval = step, Totals()


class Totals:
    """Sums over training calls. The time between the calls does not count."""

    def __init__(self) -> None:
        self.images, self.seconds, self.loss, self.correct = 0, 0.0, 0.0, 0.0

    def add(self, values: Dict[str, Any], seconds: float) -> None:
        images = int(values["images"])
        self.images += images
        self.seconds += seconds
        self.loss += float(values["loss"]) * images
        self.correct += float(values["accuracy"]) * images

    def means(self) -> Dict[str, float]:
        return {
            "loss": self.loss / self.images,
            "accuracy": self.correct / self.images,
            "images_per_second": self.images_per_second,
        }

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds if self.seconds else 0.0


class EvaluationSaver(tf.estimator.CheckpointSaverHook):
    """Saves at the given steps, whatever step the process resumed from, and stops after the last one.

    Estimator's own hook counts from the step that it resumes from. After a kill within an epoch, all later evaluations
    would be at other steps.
    """

    def __init__(
        self,
        model_dir: Path,
        steps: Sequence[int],
        start: int,
        stopping: Callable[[], bool],
        listeners: Sequence[tf.estimator.CheckpointSaverListener] = (),
    ):
        """
        Args:
            model_dir: Where to save.
            steps: After which to save and evaluate, increasing; the last one ends the run.
            start: The step of the checkpoint that is restored, 0 for none.
            stopping: Tells after each session call whether to end the run there.
            listeners: Called with each checkpoint.
        """
        super().__init__(str(model_dir), save_steps=max(steps), listeners=list(listeners))
        self._steps = list(steps)
        self._last_step = max(steps)
        self._restored = self._saved = start
        self._stopping = stopping

    def after_create_session(self, session, coord):
        # As in Estimator's own hook, except that graph.pbtxt lacks the shapes of the outputs: printing them takes a
        # fifth of a second.
        graph = tf.compat.v1.get_default_graph()
        tf.io.write_graph(graph.as_graph_def(), self._checkpoint_dir, "graph.pbtxt")
        self._summary_writer.add_graph(graph)
        step = int(session.run(self._global_step_tensor))
        self._save(session, step)
        self._timer.update_last_triggered_step(step)

    def before_run(self, run_context):
        return tf.estimator.SessionRunArgs(training_progress.TRAIN_STEP)

    def after_run(self, run_context, run_values):
        step = int(run_values.results)
        # Where other processes train asynchronously beside this one, the exact step may be skipped.
        if bisect.bisect(self._steps, step) > bisect.bisect(self._steps, self._saved):
            self._saved = step
            self._timer.update_last_triggered_step(step)
            if self._save(run_context.session, step):
                run_context.request_stop()
        # Estimator's own StopAtStepHook expects one step a call, and would make one call too many.
        if step >= self._last_step or self._stopping():
            run_context.request_stop()

    def end(self, session):
        if self._stopping():
            self._listeners.clear()  # saved but not evaluated: the user is waiting for the process to end
        super().end(session)

    def _save(self, session, step):
        if step and step == self._restored:
            # Writing the same checkpoint again would put it at risk for nothing. The listeners still expect the call:
            # for them the first one starts the run.
            for listener in self._listeners:
                listener.after_save(session, step)
            return False
        return super()._save(session, step)


class EvaluationLog(tf.estimator.Exporter):
    """Shows each evaluation of `train_and_evaluate`. It is an Exporter, because those are called with the results."""

    def __init__(self, split: str, show: Callable[[Dict[str, float]], None]):
        """
        Args:
            split: What is evaluated, "test" or "validation".
            show: Called with the figures of each evaluation.
        """
        self._split = split
        self._show = show

    @property
    def name(self) -> str:
        return "evaluation_log"

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        # No training loss shows weights that the last update ruined. The evaluation is the first to see them.
        if not math.isfinite(eval_result["loss"]):
            step = int(eval_result["global_step"])
            raise RunError(NOT_FINITE.format(what=self._split, loss=eval_result["loss"], step=step))
        self._show(eval_result)


class Trace(tf.estimator.ProfilerHook):
    """Traces the second session call for chrome://tracing. The first one warms up."""

    def __init__(self, folder: Path):
        with tf.Graph().as_default():  # its writer can be made in graph mode only
            super().__init__(save_steps=1, output_dir=str(folder))
        self._traced = False

    def before_run(self, run_context):
        return None if self._traced else super().before_run(run_context)

    def after_run(self, run_context, run_values):
        if not self._traced:
            super().after_run(run_context, run_values)
            self._traced = self._request_summary
