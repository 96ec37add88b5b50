"""Renders the templates of the report. Everything that is not Markup is escaped."""

import base64
from pathlib import Path
from typing import Any

import jinja2

from estimator_mnist.system.terminal import percent, shortened

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Returns a rendered template.

    Args:
        template: The name of its file.
        values: What it shows, by the names that it uses.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(percent=percent, shortened=shortened, data_uri=_data_uri)
    return environment.get_template(template).render(**values)


def _data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
