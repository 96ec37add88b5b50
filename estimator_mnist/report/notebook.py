"""The top of a run's report for notebooks: read from its model_dir, without a forward pass."""

import hashlib
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure

from estimator_mnist.model_dir import prepare, results
from estimator_mnist.report import headline, page_templates, plots, run_curves


def head(model_dir: Path) -> str:
    """Returns the figures and curves of a run as an HTML element that needs no other file, script or style sheet.

    Args:
        model_dir: The folder of a run, which may be unfinished: then there are only the curves so far.

    Raises:
        InputError: The folder holds no experiment.
    """
    experiment, outcome = prepare.stored_experiment(model_dir), results.read(model_dir)
    # A notebook may show several runs on one page, where no two elements may share an id.
    prefix = hashlib.sha256(str(model_dir.absolute()).encode()).hexdigest()[:8]
    with plots.style():
        figures = run_curves.figures(experiment, run_curves.read(model_dir, outcome))
        svgs = {name: Markup(_fitted(plots.svg(figure, f"{prefix}-{name}"))) for name, figure in figures.items()}
    return page_templates.render(
        "notebook.html",
        name=model_dir.absolute().name,
        summary=headline.summary(experiment),
        items=headline.items(experiment, outcome) if outcome else [],
        curves=svgs,
    )


def curves(model_dir: Path) -> Figure:
    """Returns the loss, the accuracy and the user's metric, if any, over the epochs of a run, beside each other.

    Args:
        model_dir: The folder of a run, which may be unfinished.

    Raises:
        InputError: The folder holds no experiment.
    """
    experiment, outcome = prepare.stored_experiment(model_dir), results.read(model_dir)
    with plots.style():
        return run_curves.in_one_figure(experiment, run_curves.read(model_dir, outcome))


def _fitted(svg: str) -> str:
    """Returns an SVG element that takes the width of its container. A notebook has no style sheet to say so."""
    return svg.replace("<svg", '<svg style="width: 100%; height: auto"', 1)
