"""The progress of a run in a notebook: the lines of the terminal, and a bar that needs no widgets."""

import html
import sys
import time
from typing import Any, Dict, Optional

from estimator_mnist.cli.console import TerminalProgress
from estimator_mnist.config.experiment import Experiment
from estimator_mnist.system.terminal import percent

SECONDS_BETWEEN_UPDATES = 0.25


def is_notebook() -> bool:
    """Tells whether this process is the kernel of a notebook. Imports nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return getattr(shell, "kernel", None) is not None


class NotebookProgress(TerminalProgress):
    """Shows a bar as HTML that is replaced in place. `tqdm.notebook` would need ipywidgets."""

    def __init__(self, experiment: Experiment):
        super().__init__(experiment)
        self._total = experiment.total_steps
        self._shown_at = 0.0
        self._reached, self._latest = 0, ""
        self._handle: Optional[Any] = None

    def __enter__(self) -> "NotebookProgress":
        super().__enter__()
        from IPython.display import HTML, display

        self._began = time.monotonic()
        self._handle = display(HTML(self._html()), display_id=True)
        return self

    def __exit__(self, *error: object) -> None:
        self._show()
        super().__exit__(*error)

    def begins(self, step: int) -> None:
        """Starts the bar at a step."""
        super().begins(step)
        self._reached = step

    def trained(self, step: int, scalars: Dict[str, float]) -> None:
        """Moves the bar to a step and shows its "loss", "accuracy" and "images_per_second"."""
        super().trained(step, scalars)
        speed = f"{scalars['images_per_second']:,.0f} images/s"
        self._latest = f"loss {scalars['loss']:.4f}, accuracy {percent(scalars['accuracy'])}, {speed}"
        self._reached = step
        if time.monotonic() - self._shown_at > SECONDS_BETWEEN_UPDATES:
            self._show()

    def _show(self) -> None:
        from IPython.display import HTML

        if self._handle is not None:  # None where there is no front end
            self._handle.update(HTML(self._html()))
        self._shown_at = time.monotonic()

    def _html(self) -> str:
        seconds = time.monotonic() - self._began
        text = f"step {self._reached:,} of {self._total:,}, {seconds:.0f} s" + (
            f": {self._latest}" if self._latest else ""
        )
        return f'<progress value="{self._reached}" max="{self._total}"></progress> {html.escape(text)}'
