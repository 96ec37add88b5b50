"""FinalExporter and BestExporter: the SavedModels that a run leaves in model_dir/export.

Both look at the step that a version holds to see whether it exists already, so that they can be called again after a
kill.
"""

import contextlib
import functools
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Tuple, Union

import tensorflow as tf

from estimator_mnist.model import serving_signatures
from estimator_mnist.model_dir import checkpoints, event_files, ranking, saved_models
from estimator_mnist.model_dir.ranking import Ranking
from estimator_mnist.model_dir.saved_models import BEST, FINAL, FOLDER
from estimator_mnist.system.paths import path_of, rmtree
from estimator_mnist.training.job import Job

Receiver = Callable[[], tf.estimator.export.ServingInputReceiver]
Exporters = List[Union["FinalExporter", "BestExporter"]]


@contextlib.contextmanager
def of_run(job: Job, start: int) -> Iterator[Exporters]:
    """A context with the exporters of a run, for its EvalSpec.

    Args:
        job: The run.
        start: The step that it resumes from. What was kept or exported of later steps is deleted.
    """
    experiment, model_dir = job.experiment, job.model_dir
    if start < experiment.total_steps:  # a stream, in its new order, will end with other weights
        for name in (FINAL, BEST):
            rmtree(model_dir / FOLDER / name, ignore_errors=True)
        checkpoints.forget_kept_after(model_dir, start)
    known = {step: figures for step, figures in event_files.evaluations(model_dir).items() if step <= start}
    with tempfile.TemporaryDirectory() as scratch:
        warmup = Path(scratch, serving_signatures.WARMUP)
        serving_signatures.write_warmup(warmup, experiment.model, experiment.image_shape)
        receiver = functools.partial(serving_signatures.input_receiver, experiment.image_shape)
        best = ranking.of_experiment(experiment)
        yield [FinalExporter(receiver, warmup), BestExporter(best, (receiver, warmup), known, job.progress.say)]


def finish(
    exporters: Exporters,
    estimator: tf.estimator.Estimator,
    evaluations: Mapping[int, Mapping[str, float]],
    last_step: int,
) -> float:
    """Makes the exports that `train_and_evaluate` has not made, and returns the seconds that all of them took.

    Args:
        exporters: Of the run.
        estimator: Of the run.
        evaluations: All of the run, whatever process made them.
        last_step: Of the run.
    """
    model_dir, result = path_of(estimator.model_dir), evaluations[last_step]
    checkpoint = checkpoints.prefix(model_dir, last_step)
    for exporter in exporters:
        exporter.know(evaluations)
        exporter.export(estimator, str(model_dir / FOLDER / exporter.name), checkpoint, result, True)
    return sum(exporter.seconds for exporter in exporters)


class FinalExporter(tf.estimator.FinalExporter):
    """Exports the last checkpoint, unless its export exists."""

    def __init__(self, receiver: Receiver, warmup: Path):
        super().__init__(FINAL, receiver, assets_extra={serving_signatures.WARMUP: str(warmup)})
        self.seconds = 0.0

    def know(self, evaluations: Mapping[int, Mapping[str, float]]) -> None:
        """Does nothing: the last checkpoint is exported whatever the evaluations are."""

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        folder, export = path_of(export_path), super().export
        if not is_the_final_export or saved_models.version_of(folder, int(eval_result["global_step"])):
            return None
        began = time.perf_counter()
        path = saved_models.export_to(
            folder, lambda place: export(estimator, place, checkpoint_path, eval_result, True)
        )
        self.seconds += time.perf_counter() - began
        return path


class BestExporter(tf.estimator.BestExporter):
    """Exports the checkpoint with the best accuracy in an evaluation, once, at the end of the run.

    Estimator's own exports after each improvement, which takes half a second each, and it takes the first evaluation
    after a restart for the best one (TensorFlow issue 47396). Here the best checkpoint is kept in a folder, and the
    evaluations on disk say what was best before a restart.
    """

    def __init__(
        self,
        best: Ranking,
        serving: Tuple[Receiver, Path],
        evaluations: Dict[int, Dict[str, Any]],
        say: Callable[[str], None],
    ):
        """
        Args:
            best: What evaluations are compared by.
            serving: Makes the inputs of the SavedModel, and the file with the warm-up requests.
            evaluations: {step: {"loss", "accuracy", "global_step"}} before this process trains.
            say: Called with a line where the best checkpoint is gone.
        """
        receiver, warmup = serving
        super().__init__(
            BEST,
            receiver,
            event_file_pattern=None,
            compare_fn=best.is_better,
            assets_extra={serving_signatures.WARMUP: str(warmup)},
            exports_to_keep=1,
        )
        self.seconds = 0.0
        self._best = best
        self._evaluations = evaluations
        self._say = say

    def know(self, evaluations: Mapping[int, Mapping[str, float]]) -> None:
        """Adds evaluations that this or another process made."""
        self._evaluations.update({step: dict(result) for step, result in evaluations.items()})

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        began, model_dir, step = time.perf_counter(), path_of(estimator.model_dir), int(eval_result["global_step"])
        self._evaluations[step] = eval_result
        checkpoints.keep(model_dir, self._best.best_step(self._evaluations), just_saved=step)
        path = self._export_best(estimator, path_of(export_path)) if is_the_final_export else None
        self.seconds += time.perf_counter() - began
        return path

    def _export_best(self, estimator: tf.estimator.Estimator, folder: Path) -> Optional[Any]:
        model_dir, evaluations, export = path_of(estimator.model_dir), dict(self._evaluations), super().export
        best = self._best.best_step(evaluations)
        while (checkpoint := checkpoints.find(model_dir, best)) is None:  # deleted or corrupt
            del evaluations[best]
            left = self._best.best_step(evaluations)
            self._say(f"The checkpoint of the best evaluation, step {best:,}, is gone: using that of step {left:,}")
            best = left
        if saved_models.version_of(folder, best):
            return None
        final = saved_models.version_of(folder.parent / FINAL, best)
        if final:
            return str(saved_models.put_version(final, folder))
        return saved_models.export_to(
            folder, lambda place: export(estimator, place, checkpoint, evaluations[best], True)
        )


class BestKeeper(tf.estimator.Exporter):
    """Keeps the best checkpoint for the BestExporter of the chief, another process, to export at the end."""

    @property
    def name(self):
        return BEST

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        model_dir, step = path_of(estimator.model_dir), int(eval_result["global_step"])
        known = {**event_files.evaluations(model_dir), step: eval_result}  # with the chief's
        best = ranking.of_experiment(estimator.params["experiment"])
        checkpoints.keep(model_dir, best.best_step(known), just_saved=step)
