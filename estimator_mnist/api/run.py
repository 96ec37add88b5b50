"""A run as a value: what it has measured, its network as a function, and its exports and report."""

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, Optional, Union

import numpy as np

import input_fns
from estimator_mnist.api import datasets, evaluation, turns
from estimator_mnist.config import export_formats, run_data
from estimator_mnist.config.experiment import FILE_NAME, Experiment
from estimator_mnist.model_dir import checkpoint_names, prepare, results
from estimator_mnist.system import errors, terminal
from estimator_mnist.system.errors import RunError
from estimator_mnist.system.paths import path_of
from estimator_mnist.system.tensorflow_setup import quiet_tensorflow
from input_fns import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from estimator_mnist.predict.in_memory import Images, Predictions

Figures = Dict[str, Any]


class Run:
    """A run in its model_dir, which may be unfinished. All that it returns is read there when it is asked for."""

    def __init__(
        self, model_dir: Path, experiment: Experiment, data: Optional[input_fns.Data] = None, verbose: bool = True
    ):
        """
        Args:
            model_dir: Its folder.
            experiment: The experiment of the folder.
            data: The experiment's data. None: found when it is needed.
            verbose: Whether its methods print remarks, such as which corrupt checkpoint was skipped.
        """
        self.model_dir = model_dir
        self.experiment = experiment
        self._data = data
        self._say = terminal.say if verbose else turns.silence
        self._network: Any = None  # the network as a function, and when its checkpoint was saved

    def __getstate__(self) -> Dict[str, Any]:
        return {**self.__dict__, "_network": None}  # a session cannot be pickled; the next prediction loads it again

    @property
    def results(self) -> Figures:
        """The content of results.json: "final", "best", "untrained", "train_loss", "seconds", ...

        Raises:
            InputError: The run is not finished.
        """
        outcome = results.read(self.model_dir)
        if outcome is None:
            raise InputError(f"model_dir {self.model_dir}: this run is not finished; train it to its end first")
        return outcome

    @property
    def untrained(self) -> Figures:
        """ "test_loss" and "test_accuracy" of the initial weights.

        Raises:
            InputError: They were not evaluated yet.
        """
        with turns.turn():
            from estimator_mnist.api import history

            return history.untrained(self.model_dir)

    @property
    def history(self) -> Dict[str, np.ndarray]:
        """The evaluations so far, arrays of one length, that of the step 0 first.

        "step" int64; "epoch", "train_loss", "test_loss", "test_accuracy" and "test_<metric>" float64. "test" means the
        evaluated split. "train_loss" is the mean of the epoch that the step ends or lies in, and NaN for step 0 and
        for an epoch that is not over.
        """
        with turns.turn():
            from estimator_mnist.api import history

            return history.read(self.model_dir, self.experiment)

    def evaluate(
        self, data: Optional[datasets.Source] = None, checkpoint: Optional[Union[int, str, Path]] = None
    ) -> evaluation.Evaluation:
        """Evaluates a checkpoint, and writes nothing to the model_dir.

        Args:
            data: What is evaluated: the test split of what `estimator_mnist.data` returns or takes, or all of arrays
                (x, y). None: the split that the run is evaluated on.
            checkpoint: Its step, "best", or its path. None: the newest.

        Raises:
            InputError: There is no such checkpoint, or the data has other images or classes than the run's.
        """
        with self._at_work() as experiment:
            from estimator_mnist.evaluation import evaluate, metrics

            evaluated_data = self._own_data() if data is None else evaluation.data_for(self.experiment, data)
            prefix = self._checkpoint(checkpoint)
            with errors.as_user_error(self.model_dir / FILE_NAME, evaluated_data):
                figures, classified = evaluate.evaluate(experiment, evaluated_data, self.model_dir, prefix)
            matrix = metrics.confusion_matrix(classified)
        return evaluation.Evaluation(figures, classified.logits, classified.labels, matrix)

    def predict(self, images: "Images") -> "Predictions":
        """Classifies images with the exported model or, while there is none, the newest checkpoint.

        Args:
            images: Arrays, uint8 of 0 to 255 or floats of 0 to 1, [n, height, width] or [n, height, width, channels],
                which the network sees as they are. Or pictures of any size, which are prepared as the run's data: a
                path, a folder, an image of Pillow, or a list of these.

        Returns:
            `classes`, int64 [n], `probabilities` and `logits`, float32 [n, classes].

        Raises:
            InputError: The images have another shape, or a picture cannot be read.
        """
        with self._at_work() as experiment:
            from estimator_mnist.predict import classifier, in_memory

            state = self.model_dir / "checkpoint"
            changed_at = state.stat().st_mtime_ns if state.exists() else None
            if self._network is None or self._network[1] != changed_at:
                self._network = classifier.load_network(self.model_dir, experiment), changed_at
            return in_memory.predict(images, self._network[0], experiment)

    def export(self, *formats: str, checkpoint: Optional[Union[int, str, Path]] = None) -> Dict[str, Path]:
        """Writes a checkpoint in formats of other runtimes, and checks each against the Estimator.

        Args:
            formats: "saved_model", "tflite", "tflite_int8", "onnx", "keras". None: all but "keras", which makes an
                environment for Keras 3 on first use.
            checkpoint: As in `evaluate`.

        Returns:
            The path of each format.

        Raises:
            InputError: There is no such format or checkpoint.
            RunError: A format could not be written or failed its check. The others are written.
        """
        with self._at_work() as experiment:
            from estimator_mnist.export import command

            names = export_formats.checked(formats, "formats") if formats else export_formats.default()
            data, prefix = self._own_data(), self._checkpoint(checkpoint)
            with prepare.in_use(self.model_dir), errors.as_user_error(self.model_dir / FILE_NAME, data):
                rows, failures = command.export(experiment, data, self.model_dir, prefix, names)
        if failures:
            raise RunError("; ".join(map(str, failures)))
        return {row.format: path_of(row.path) for row in rows if row.format in export_formats.FORMATS}

    def report(self) -> Path:
        """Writes report.html and the plots of a finished run again, and returns the page's path.

        Raises:
            InputError: The run is not finished.
        """
        with self._at_work() as experiment:
            from estimator_mnist.report import html_page

            outcome, data = self.results, self._own_data()
            with prepare.in_use(self.model_dir), errors.as_user_error(self.model_dir / FILE_NAME, data):
                return html_page.rebuild(experiment, outcome, data, self.model_dir)

    def plot(self) -> "Figure":
        """Returns loss, accuracy and the user's metric over the epochs so far, as a figure that notebooks show."""
        with turns.turn():
            from estimator_mnist.api.shown_figure import shown
            from estimator_mnist.report import notebook

            return shown(notebook.curves(self.model_dir))

    def __repr__(self) -> str:
        outcome, experiment = results.read(self.model_dir), self.experiment
        state = f"{experiment.model} on {experiment.dataset}, {self.model_dir}"
        if outcome is None:
            return f"Run({state}: not finished)"
        return f"Run({state}: accuracy {terminal.percent(outcome['final']['test_accuracy'])})"

    def _repr_html_(self) -> str:
        with turns.turn():
            from estimator_mnist.report import notebook

            return notebook.head(self.model_dir)

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[Experiment]:
        """A context for work with the network; its value is the experiment for one process."""
        with turns.turn(self._say, self.experiment.xla):
            from estimator_mnist.model import cpu_parallelism

            # The first use of TensorFlow fixes the threads of the process. A training may come next.
            cpu_parallelism.limit_threads(self.experiment)
            yield self.experiment.in_one_process()

    def _own_data(self) -> input_fns.Data:
        if self._data is None:
            self._data = run_data.find(self.experiment, self.model_dir, self._say)
        return self._data

    def _checkpoint(self, named: Optional[Union[int, str, Path]]) -> Optional[str]:
        """Returns the path prefix of a checkpoint, the newest intact one if none is named."""
        from estimator_mnist.model_dir import checkpoints

        if named is not None:
            return checkpoint_names.prefix_of(str(named), self.model_dir)
        step, skipped = checkpoints.newest_intact(self.model_dir)
        for corrupt, why in skipped.items():
            self._say(f"Skipped model.ckpt-{corrupt}, which is corrupt: {why}")
        return checkpoints.prefix(self.model_dir, step) if step else None


def open_run(model_dir: Union[str, Path], *, verbose: bool = True) -> Run:
    """Returns the run of a model_dir, finished or not, whatever process trained it.

    Args:
        model_dir: Its folder, local or "gs://...".
        verbose: Whether its methods print remarks.

    Raises:
        InputError: The folder holds no run.
    """
    quiet_tensorflow()  # a remote folder imports it
    folder = path_of(str(model_dir), "model_dir")
    return Run(folder, prepare.stored_experiment(folder, "model_dir"), verbose=verbose)
