"""tf.estimator.Estimator with evaluations that cost little more than their forward pass."""

import copy
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional

import numpy as np
import tensorflow as tf

import input_fns
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.distribute.tf_config import Task
from estimator_mnist.model import eval_metrics
from estimator_mnist.model.model_fn import evaluation, model_fn
from estimator_mnist.model_dir import checkpoints
from estimator_mnist.system.paths import path_of
from estimator_mnist.training import run_config

InputFn = Callable[[], tf.data.Dataset]
MAX_HIDDEN = 10_000  # examples, which the projector shows: all of a large split could fill the memory


class Evaluation(NamedTuple):
    """What one forward pass over the evaluated split gives."""

    figures: Dict[str, Any]  # "loss", "global_step" and the metrics of the EstimatorSpec: NumPy scalars
    # "image", "label" and the predictions of the EstimatorSpec, of all examples; "hidden" of the first MAX_HIDDEN.
    outputs: Dict[str, np.ndarray]
    seconds: float  # with the making of graph and session, where there were none yet


def create(
    experiment: Experiment, model_dir: Path, data: Optional[input_fns.Data] = None, task: Optional[Task] = None
) -> "Estimator":
    """Returns the Estimator of an experiment.

    Args:
        experiment: What model_fn is given.
        model_dir: Where its checkpoints are.
        data: Its data; needed for `classify`, and wherever `split_input_fn` is used.
        task: This process's place in a cluster.
    """
    config = run_config.create(experiment, model_dir, task)
    estimator = Estimator(model_fn, config=config, params={"experiment": experiment})
    if data:
        split, batch_size = data.test, experiment.eval_batch_size
        estimator.split_input_fn = lambda: input_fns.eval_input_fn(split, batch_size)
        estimator.split_images = None if split.images is None else split.arrays()[0]
    return estimator


class Estimator(tf.estimator.Estimator):
    """An Estimator that keeps the graph and the session of its evaluations.

    TensorFlow's Estimator rebuilds both for each evaluation. That takes ten times as long as a small network needs for
    ten thousand images.
    """

    split_input_fn: InputFn  # the whole split that the experiment is evaluated on; see `create`
    split_images: Optional[np.ndarray] = None  # of that split, mapped from its file; None where it is streamed
    beside_training = False  # whether another process trains, and deletes old checkpoints
    evaluation_seconds = 0.0  # that the evaluations took so far, with the making of their graph
    _last: Optional[Evaluation] = None  # of the last step of the run
    _evaluation: Optional["_Evaluation"] = None

    def evaluate(
        self,
        input_fn: InputFn,
        steps: Optional[int] = None,
        hooks: Any = None,
        checkpoint_path: Optional[str] = None,
        name: Optional[str] = None,
    ) -> Dict[str, Any]:
        """Evaluates all of the input, and writes the result to `eval_dir(name)`; as `tf.estimator.Estimator.evaluate`.

        Args:
            input_fn: Returns the dataset, of known cardinality. The same function is called only once, however often it
                is given.
            steps: Not offered: None.
            hooks: Not offered: none.
            checkpoint_path: What to evaluate; None: the newest checkpoint, or else the initial weights.
            name: Of the evaluation.

        Returns:
            {"loss", "global_step" and the metrics of the EstimatorSpec: NumPy scalars}.
        """
        if steps is not None or hooks:
            raise ValueError("steps and hooks: this Estimator evaluates all of its input, without hooks")
        return self._evaluate(input_fn, checkpoint_path or self.latest_checkpoint(), name)

    def evaluate_initial(self, name: Optional[str] = None) -> Dict[str, Any]:
        """Evaluates the initial weights on the split, whatever checkpoints there are; else as `evaluate`."""
        return self._evaluate(self.split_input_fn, None, name)

    def classify(self, checkpoint: str) -> Evaluation:
        """Evaluates a checkpoint on the split and returns the outputs of all examples, too; writes nothing.

        The evaluation of the last step of the run, made by this object, is not made again.
        """
        if self._last and checkpoint == self._last_checkpoint():
            return self._last
        return self._kept(self.split_input_fn).run(checkpoint, with_outputs=True)

    def __deepcopy__(self, memo: Dict[int, Any]) -> "Estimator":
        """Returns a copy to train with, as `train_and_evaluate` makes in a cluster, without the graph and session."""
        twin = copy.copy(self)
        twin._config = copy.deepcopy(self._config, memo)
        twin._evaluation = twin._last = None
        return twin

    def _assert_members_are_not_overridden(self) -> None:
        """Estimator's constructor calls this to forbid what this class does. TensorFlow names overriding it as the way
        around, at one's own risk. The risk is small: TensorFlow is pinned to the last version that has Estimator."""

    def _evaluate(self, input_fn: InputFn, checkpoint: Optional[str], name: Optional[str]) -> Dict[str, Any]:
        began, is_last = time.perf_counter(), checkpoint is not None and checkpoint == self._last_checkpoint()
        evaluation = self._kept(input_fn)
        try:
            evaluated = evaluation.run(checkpoint, with_outputs=is_last)
        except (tf.errors.NotFoundError, ValueError):  # ValueError: all files of the checkpoint are gone
            newest = self.latest_checkpoint()
            if not self.beside_training or newest in (None, checkpoint):
                raise
            # The process that trains is far ahead, and has deleted it: it keeps only the last few.
            return self._evaluate(input_fn, newest, name)
        self._write(evaluated.figures, name)
        self.evaluation_seconds += time.perf_counter() - began
        if is_last:
            self._last = evaluated._replace(seconds=time.perf_counter() - began)
        return evaluated.figures

    def _last_checkpoint(self) -> str:
        return checkpoints.prefix(path_of(self.model_dir), self.params["experiment"].total_steps)

    def _kept(self, input_fn: InputFn) -> "_Evaluation":
        if self._evaluation is None or self._evaluation.input_fn is not input_fn:
            self._evaluation = _Evaluation(self, input_fn)
        return self._evaluation

    def _write(self, result: Dict[str, Any], name: Optional[str]) -> None:
        summary = tf.compat.v1.Summary()
        for tag, value in result.items():
            if tag != tf.compat.v1.GraphKeys.GLOBAL_STEP:
                summary.value.add(tag=tag, simple_value=value)
        with tf.Graph().as_default():  # the writer can be made in graph mode only
            writer = tf.compat.v1.summary.FileWriterCache.get(self.eval_dir(name))
        writer.add_summary(summary, result[tf.compat.v1.GraphKeys.GLOBAL_STEP])
        writer.flush()


class _Evaluation:
    """The graph of an evaluation, and its session."""

    def __init__(self, estimator: tf.estimator.Estimator, input_fn: InputFn):
        self.input_fn = input_fn
        self._experiment = experiment = estimator.params["experiment"]
        self._graph = tf.Graph()
        with self._graph.as_default():
            step = tf.compat.v1.train.create_global_step()
            batches = input_fn()
            # Repeated, because recreating an iterator takes longer than a small network's forward pass.
            iterator = tf.compat.v1.data.make_initializable_iterator(batches.repeat())
            features, labels = iterator.get_next()
            spec = evaluation(experiment, features, labels)
            # spec.loss is right for batches of any sizes, but rounded in another way than in runs of older versions.
            loss = eval_metrics.share_of_split_loss(experiment, spec.predictions["logits"], labels)
            metrics = {**spec.eval_metric_ops, "loss": tf.compat.v1.metrics.mean(loss)}
            self._values = {name: value for name, (value, _) in metrics.items()}
            self._values[tf.compat.v1.GraphKeys.GLOBAL_STEP] = step
            self._batch = tf.group(*(update for _, update in metrics.values()))
            self._examples = tf.shape(labels)[0]
            self._outputs = {"label": labels, **(spec.predictions or {})}
            # Images that can be mapped need no copy in memory.
            self._images = estimator.split_images if input_fn is getattr(estimator, "split_input_fn", None) else None
            if self._images is None:
                self._outputs["image"] = features["image"]
            self._begin = tf.compat.v1.local_variables_initializer()
            self._initial = tf.compat.v1.global_variables_initializer()
            self._saver = tf.compat.v1.train.Saver(sharded=True)
            cardinality = batches.cardinality()
        self._graph.finalize()
        settings = run_config.session_config(experiment)  # a cluster's name only its own devices
        self._session = tf.compat.v1.Session(graph=self._graph, config=settings)
        self._batches, _ = self._session.run((cardinality, iterator.initializer))
        if self._batches < 0:
            raise ValueError("input_fn: returns a dataset of unknown or infinite cardinality")

    def run(self, checkpoint: Optional[str], with_outputs: bool = False) -> Evaluation:
        """Evaluates a checkpoint, or the initial weights, and keeps the outputs of all examples where asked to."""
        began = time.perf_counter()
        if checkpoint is None:
            self._session.run(self._initial)
        else:
            with self._graph.as_default():  # the saver assumes that there is no graph otherwise
                self._saver.restore(self._session, checkpoint)
        self._session.run(self._begin)
        outputs: Dict[str, List[np.ndarray]] = {name: [] for name in self._outputs if with_outputs}
        examples = 0
        for _ in range(self._batches):
            fetched = (self._batch, self._examples, self._outputs if with_outputs else {})
            _, examples_of_batch, of_batch = self._session.run(fetched)
            for name, values in of_batch.items():
                if name != "hidden" or examples < MAX_HIDDEN:
                    outputs[name].append(values[: MAX_HIDDEN - examples] if name == "hidden" else values)
            examples += int(examples_of_batch)
        figures = self._session.run(self._values)
        figures["loss"] = self._mean_loss(figures["loss"], examples)
        arrays = {name: np.concatenate(values) for name, values in outputs.items()}
        if with_outputs and self._images is not None:
            arrays["image"] = self._images
        return Evaluation(figures, arrays, time.perf_counter() - began)

    def _mean_loss(self, mean_share: np.float32, examples: int) -> np.float32:
        """Returns the mean loss of the examples. The shares are those of the experiment's split in its batches."""
        split, size = self._experiment.test_examples, self._experiment.eval_batch_size
        batches = -(-split // size)
        if (examples, self._batches) == (split, batches):
            return mean_share
        return np.float32(float(mean_share) * split / batches * self._batches / examples)
