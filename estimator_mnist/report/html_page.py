"""report.html: a finished run on one self-contained page."""

import dataclasses
import shlex
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
from markupsafe import Markup
from PIL import Image

import input_fns
from estimator_mnist import user_code
from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.config.fields import DATA
from estimator_mnist.evaluation import classify_split, metrics, statistics
from estimator_mnist.model_dir import checkpoints
from estimator_mnist.report import artifacts as run_artifacts
from estimator_mnist.report import headline, page_templates, plots, run_curves
from estimator_mnist.report.artifacts import Artifacts
from estimator_mnist.report.montage import as_shown, shrunk
from estimator_mnist.system import command_name
from estimator_mnist.system.paths import replace_file
from estimator_mnist.system.terminal import printable, shortened
from estimator_mnist.training import estimator as estimators
from input_fns import InputError

FILE_NAME = "report.html"
MISTAKE_SIDE = 160  # pixels of the longer side: two for each that a page shows
MOST_CHARACTERS = 10_000  # of all class names
MISSING = "# The copy of this file is missing."
# Settings for which the reproducing command needs no flag of that name: the data sets them, or `command` names the flag
# itself.
NOT_SET_BY_NAME = DATA | {"model", "dataset", "source", "recipe", "input"}


def write(experiment: Experiment, results: Dict[str, Any], artifacts: Artifacts, model_dir: Path) -> Path:
    """Writes model_dir/report.html atomically and returns its path.

    Args:
        experiment: The finished experiment.
        results: The content of its results.json.
        artifacts: The evaluated split and its pictures.
        model_dir: The run's folder, whose name is the page's title.
    """
    classified, examples = artifacts.classified, len(artifacts.classified.labels)
    classes = metrics.class_metrics(classified, list(map(printable, experiment.class_names)))
    many = len(classes) > metrics.MANY_CLASSES
    page = page_templates.render(
        FILE_NAME,
        name=model_dir.absolute().name,
        summary=headline.summary(experiment),
        headline=headline.items(experiment, results),
        experiment=experiment,
        results=results,
        examples=examples,
        mistake_count=classified.mistakes,
        interval=statistics.wilson_interval(examples - classified.mistakes, examples),
        calibration=artifacts.calibration,
        # matplotlib made these from numbers, this project's words and names of functions. Nothing else goes unescaped.
        curves={name: Markup(svg) for name, svg in artifacts.curves.items()},
        matrix=None if many or artifacts.matrix is None else artifacts.matrix.tolist(),
        largest_confusion=_largest_confusion(artifacts.matrix),
        classes=classes,
        shown_classes=metrics.worst_classes(classes, metrics.MANY_CLASSES) if many else range(len(classes)),
        mistakes=list(zip(artifacts.mistakes, _mistakes(artifacts))),
        inverted=classified.light_on_dark,
        pictures=artifacts.pictures,
        filter_shape=[] if classified.filters is None else classified.filters.shape,
        shown_filters=plots.MOST_FILTERS,
        network=create_network(experiment).table(),
        user_code=_user_code(experiment, model_dir),
        settings=_settings(experiment),
        command=command(experiment),
    )
    replace_file(model_dir / FILE_NAME, page)
    return model_dir / FILE_NAME


def _largest_confusion(matrix: Optional[np.ndarray]) -> int:
    return 1 if matrix is None else max(1, int((matrix - np.diag(np.diag(matrix))).max()))


def _mistakes(artifacts: Artifacts) -> List[bytes]:
    """Returns the images that are classified incorrectly and shown, as PNG files."""
    if not artifacts.mistakes:
        return []
    classified, positions = artifacts.classified, [mistake.position for mistake in artifacts.mistakes]
    images = shrunk(as_shown(classified.images[positions], classified.light_on_dark), MISTAKE_SIDE)
    return [plots.png(Image.fromarray(image)) for image in images]


def _user_code(experiment: Experiment, model_dir: Path) -> List[Tuple[str, str, str]]:
    """Returns name, SHA-256 and text of each file of the user's."""
    copies = model_dir / user_code.FOLDER
    return [
        (name, digest, (copies / name).read_bytes().decode(errors="replace") if (copies / name).is_file() else MISSING)
        for name, digest in experiment.user_code.items()
    ]


def rebuild(experiment: Experiment, results: Dict[str, Any], data: input_fns.Data, model_dir: Path) -> Path:
    """Rebuilds what a finished run leaves beside results.json: plots, TensorBoard's summaries and the page.

    Args and returns: as `write`; `data` is the experiment's.

    Raises:
        InputError: The last checkpoint is missing or corrupt.
    """
    checkpoint = checkpoints.prefix(model_dir, experiment.total_steps)
    problem = checkpoints.corruption(checkpoint) or checkpoints.difference(experiment, checkpoint)
    if problem:
        raise InputError(f"--model_dir {model_dir}: the last checkpoint of the run cannot be read ({problem})")
    classified = classify_split.by_checkpoint(experiment, estimators.create(experiment, model_dir, data), checkpoint)
    history = run_curves.read(model_dir, results)
    return write(experiment, results, run_artifacts.make(experiment, classified, history, model_dir), model_dir)


def command(experiment: Experiment) -> str:
    """Returns the command that reproduces the experiment in a separate folder."""
    words = ["--model", experiment.model]
    usual = {"dataset": "mnist", "source": "tfds", "recipe": "default", "input": "indexed"}
    words += [f"--{name}={getattr(experiment, name)}" for name in usual if getattr(experiment, name) != usual[name]]
    defaults = {field.name: field.default for field in dataclasses.fields(Experiment)}
    defaults.update(experiment.architecture.recipe(experiment.recipe, experiment.dataset))
    for name, value in dataclasses.asdict(experiment).items():
        if name not in NOT_SET_BY_NAME and value != defaults[name]:
            words.append(f"--{name}={_text(value)}")
    return shlex.join([*command_name.words(), *words, "--model_dir", "runs/again"])


def _settings(experiment: Experiment) -> List[Any]:
    """Returns (name, value as text) of every field of the experiment, settings and data."""
    values = dataclasses.asdict(experiment)
    values["user_code"] = ", ".join(f"{name} {digest}" for name, digest in experiment.user_code.items()) or None
    names = printable(", ".join(values.pop("class_names")))
    values["class_names"] = shortened(names, MOST_CHARACTERS)  # last, because it is the longest
    return [(name, "not set" if value in (None, "") else _text(value)) for name, value in values.items()]


def _text(value: Any) -> str:
    if isinstance(value, tuple):  # an image shape
        return " x ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
