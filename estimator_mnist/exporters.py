"""FinalExporter and BestExporter: the SavedModels that a run leaves in model_dir/export.

Both tell by the step that a version holds whether it has been made, so that they can be called again after a kill.
"""

import contextlib
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, Mapping, Optional, Union

import tensorflow as tf

from estimator_mnist import checkpoints, results, serving, terminal
from estimator_mnist.experiment import Experiment

FOLDER = "export"  # in the model_dir
FINAL, BEST = "final", "best"
Exporters = List[Union["FinalExporter", "BestExporter"]]


@contextlib.contextmanager
def of_run(
    experiment: Experiment, model_dir: Path, start: int, evaluations: Mapping[int, Mapping[str, float]]
) -> Iterator[Exporters]:
    """A context with the exporters of a run, for its EvalSpec.

    Args:
        experiment: The experiment.
        model_dir: Its model_dir.
        start: The step that the run goes on from; what was kept or exported of later ones is deleted.
        evaluations: {step: {"loss", "accuracy", "global_step"}} so far.
    """
    if start < experiment.total_steps:  # a stream, in its new order, will come to another end
        for name in (FINAL, BEST):
            shutil.rmtree(model_dir / FOLDER / name, ignore_errors=True)
        checkpoints.forget_kept_after(model_dir, start)
    known = {step: dict(result) for step, result in evaluations.items() if step <= start}
    with tempfile.TemporaryDirectory() as scratch:
        warmup = Path(scratch, serving.WARMUP)
        serving.write_warmup(warmup, experiment.model)
        yield [FinalExporter(warmup), BestExporter(warmup, known)]


def finish(exporters: Exporters, estimator: tf.estimator.Estimator, result: Mapping[str, float]) -> float:
    """Makes the exports that `train_and_evaluate` has not made, and returns the seconds that all of them took.

    Args:
        exporters: Of the run.
        estimator: Of the run.
        result: The evaluation of its last step.
    """
    model_dir = Path(estimator.model_dir)
    checkpoint = checkpoints.prefix(model_dir, int(result["global_step"]))
    for exporter in exporters:
        exporter.export(estimator, str(model_dir / FOLDER / exporter.name), checkpoint, result, True)
    return sum(exporter.seconds for exporter in exporters)


class FinalExporter(tf.estimator.FinalExporter):
    """Exports the last checkpoint, unless that has been done."""

    def __init__(self, warmup: Path):
        super().__init__(FINAL, serving.input_receiver, assets_extra={serving.WARMUP: str(warmup)})
        self.seconds = 0.0

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        if not is_the_final_export or serving.version_of(Path(export_path), int(eval_result["global_step"])):
            return None
        began = time.perf_counter()
        made = super().export(estimator, export_path, checkpoint_path, eval_result, is_the_final_export)
        self.seconds += time.perf_counter() - began
        return made


class BestExporter(tf.estimator.BestExporter):
    """Exports the checkpoint with the best accuracy in an evaluation, once, at the end of the run.

    Estimator's own exports after each improvement, half a second each, and takes the first evaluation after a restart
    for the best one. Here the best checkpoint is kept apart from those that come and go, and what was best before a
    restart is known from the evaluations.
    """

    def __init__(self, warmup: Path, evaluations: Dict[int, Dict[str, Any]]):
        """
        Args:
            warmup: The file with the warm-up requests.
            evaluations: {step: {"loss", "accuracy", "global_step"}} before this process trains.
        """
        super().__init__(
            BEST,
            serving.input_receiver,
            event_file_pattern=None,
            compare_fn=is_better,
            assets_extra={serving.WARMUP: str(warmup)},
            exports_to_keep=1,
        )
        self.seconds = 0.0
        self._evaluations = evaluations

    def export(self, estimator, export_path, checkpoint_path, eval_result, is_the_final_export):
        began, model_dir, step = time.perf_counter(), Path(estimator.model_dir), int(eval_result["global_step"])
        self._evaluations[step] = eval_result
        checkpoints.keep(model_dir, results.best_step(self._evaluations), anew=step)
        made = self._export_best(estimator, Path(export_path)) if is_the_final_export else None
        self.seconds += time.perf_counter() - began
        return made

    def _export_best(self, estimator: tf.estimator.Estimator, folder: Path) -> Optional[Any]:
        model_dir, found = Path(estimator.model_dir), dict(self._evaluations)
        best = results.best_step(found)
        while (checkpoint := checkpoints.find(model_dir, best)) is None:  # deleted, or damaged
            del found[best]
            left = results.best_step(found)
            terminal.say(f"The checkpoint of the best evaluation, step {best:,}, is gone: taking that of step {left:,}")
            best = left
        if serving.version_of(folder, best):
            return None
        final = serving.version_of(folder.parent / FINAL, best)
        if final:
            return str(serving.put_version(final, folder))
        return super().export(estimator, str(folder), checkpoint, found[best], True)


def is_better(best_eval_result: Mapping[str, float], current_eval_result: Mapping[str, float]) -> bool:
    return results.rank(current_eval_result) > results.rank(best_eval_result)
