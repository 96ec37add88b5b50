"""What a run tells about itself while it lasts. The command line shows it; this one keeps silent."""

from typing import Any, Dict, List


class Progress:
    """Hears of a run's progress. A context, entered for as long as there is something to show."""

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def say(self, line: str) -> None:
        """Hears a remark for the user, one line."""

    def network(self, rows: List[Any]) -> None:
        """Hears the layers of the network, `layers.network.Row`s, before the first step."""

    def begins(self, step: int) -> None:
        """Hears the step that the run starts or resumes from."""

    def trained(self, step: int, scalars: Dict[str, float]) -> None:
        """Hears, after each session call, the step and its "loss", "accuracy" and "images_per_second"."""

    def evaluated(self, figures: Dict[str, Any], just_trained: bool = True) -> None:
        """Hears the figures of an evaluation, and whether training has just reached its step."""
