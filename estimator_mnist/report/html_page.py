"""report.html: a finished run on one page that needs nothing beside it."""

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
from estimator_mnist.report import artifacts, plots
from estimator_mnist.report.artifacts import Artifacts
from estimator_mnist.system.paths import replace_file
from estimator_mnist.system.terminal import percent
from estimator_mnist.training import estimator as estimators
from input_fns import InputError

FILE_NAME = "report.html"
TEMPLATES = Path(__file__).parent / "templates"
# What a flag sets to something other than the experiment's value, or sets alone.
NOT_SET_BY_NAME = DATA | {"model", "dataset", "source", "recipe", "input"}


def write(experiment: Experiment, results: Dict[str, Any], ended: Artifacts, model_dir: Path) -> Path:
    """Writes model_dir/report.html, whole or not at all, and returns its path.

    Args:
        experiment: The finished experiment.
        results: The content of its results.json.
        ended: What was made of its evaluated split.
        model_dir: Where it lives; its name is the page's title.
    """
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
    examples = len(ended.classified.labels)
    wrong = ended.matrix - np.diag(np.diag(ended.matrix))
    page = environment.get_template(FILE_NAME).render(
        name=model_dir.absolute().name,
        experiment=experiment,
        results=results,
        mistakes_made=ended.classified.mistakes,
        interval=statistics.wilson_interval(examples - ended.classified.mistakes, examples),
        calibration=ended.calibration,
        # Made by matplotlib from numbers and our own words: the only thing here that is not escaped.
        curves={name: Markup(svg) for name, svg in ended.curves.items()},
        matrix=ended.matrix.tolist(),
        most_mistakes=max(1, int(wrong.max())),
        figures=metrics.class_figures(ended.matrix, experiment.class_names),
        mistakes=[
            (mistake, plots.png(Image.fromarray(255 - ended.classified.images[mistake.position])))
            for mistake in ended.mistakes
        ],
        filters=ended.filters,
        filter_shape=ended.classified.filters.shape,
        network=create_network(experiment).table(),
        settings=_settings(experiment),
        command=command(experiment),
    )
    replace_file(model_dir / FILE_NAME, page)
    return model_dir / FILE_NAME


def rebuild(experiment: Experiment, results: Dict[str, Any], data: input_fns.Data, model_dir: Path) -> Path:
    """Makes again what a finished run leaves beside results.json: plots, TensorBoard's part and the page.

    Args and returns: as `write`; the data is the experiment's.

    Raises:
        InputError: The last checkpoint is missing or corrupt.
    """
    checkpoint = checkpoints.prefix(model_dir, experiment.total_steps)
    wrong = checkpoints.corruption(checkpoint) or checkpoints.difference(experiment, checkpoint)
    if wrong:
        raise InputError(f"--model_dir {model_dir}: the last checkpoint of the run cannot be read ({wrong})")
    classified = classify_split.by_checkpoint(experiment, estimators.create(experiment, model_dir, data), checkpoint)
    scalars, evaluations = event_files.scalars(model_dir), event_files.evaluations(model_dir)
    history = artifacts.History(results["train_loss"], scalars, evaluations)
    return write(experiment, results, artifacts.make(experiment, classified, history, model_dir), model_dir)


def command(experiment: Experiment) -> str:
    """Returns the command that makes the same experiment again, in a folder of its own."""
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
    """Returns (flag, value as text) of every setting, and of the data as it was found."""
    values = dataclasses.asdict(experiment)
    values["class_names"] = ", ".join(values.pop("class_names"))  # the longest comes last
    return [(name, "not set" if value is None else _text(value)) for name, value in values.items()]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
