"""report.html: a finished run on one self-contained page."""

import base64
import dataclasses
import shlex
from pathlib import Path
from typing import Any, Dict, List

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

import input_fns
from estimator_mnist.architectures import create_network
from estimator_mnist.config.experiment import DATA, Experiment
from estimator_mnist.evaluation import classify_split, metrics, statistics
from estimator_mnist.model_dir import checkpoints, event_files
from estimator_mnist.report import artifacts as run_artifacts
from estimator_mnist.report import plots
from estimator_mnist.report.artifacts import Artifacts, History
from estimator_mnist.system.paths import replace_file
from estimator_mnist.system.terminal import percent
from estimator_mnist.training import estimator as estimators
from input_fns import InputError

FILE_NAME = "report.html"
TEMPLATES = Path(__file__).parent / "templates"
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
    page = (
        _environment()
        .get_template(FILE_NAME)
        .render(
            name=model_dir.absolute().name,
            experiment=experiment,
            results=results,
            examples=examples,
            mistake_count=classified.mistakes,
            interval=statistics.wilson_interval(examples - classified.mistakes, examples),
            calibration=artifacts.calibration,
            # matplotlib made these from numbers and from this project's words. Nothing else goes unescaped.
            curves={name: Markup(svg) for name, svg in artifacts.curves.items()},
            matrix=artifacts.matrix.tolist(),
            largest_confusion=max(1, int((artifacts.matrix - np.diag(np.diag(artifacts.matrix))).max())),
            classes=metrics.class_metrics(artifacts.matrix, experiment.class_names),
            mistakes=[
                (mistake, plots.png(Image.fromarray(255 - classified.images[mistake.position])))
                for mistake in artifacts.mistakes
            ],
            filters=artifacts.filters,
            filter_shape=classified.filters.shape,
            network=create_network(experiment).table(),
            settings=_settings(experiment),
            command=command(experiment),
        )
    )
    replace_file(model_dir / FILE_NAME, page)
    return model_dir / FILE_NAME


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["percent"] = percent
    environment.filters["data_uri"] = _data_uri
    return environment


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
    history = History(results["train_loss"], event_files.scalars(model_dir), event_files.evaluations(model_dir))
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
    return shlex.join(["bash", "run.sh", *words, "--model_dir", "runs/again"])


def _settings(experiment: Experiment) -> List[Any]:
    """Returns (name, value as text) of every field of the experiment, settings and data."""
    values = dataclasses.asdict(experiment)
    values["class_names"] = ", ".join(values.pop("class_names"))  # last, because it is the longest
    return [(name, "not set" if value is None else _text(value)) for name, value in values.items()]


def _text(value: Any) -> str:
    if isinstance(value, tuple):  # an image shape
        return " x ".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
