"""The model of a step that several processes share, and how it is fitted to what was measured; see scale.py."""

from typing import Dict, List, NamedTuple, Tuple

import numpy as np


class Network(NamedTuple):
    """What a message costs."""

    latency: float  # seconds a message
    bandwidth: float  # bytes a second

    def all_reduce(self, workers: int, size: float) -> float:
        """Returns the seconds that a ring takes to add up `size` bytes."""
        messages = 2 * (workers - 1)
        return messages * self.latency + messages / workers * size / self.bandwidth


class Step(NamedTuple):
    """What a step of one process costs, in seconds."""

    fixed: float
    example: float

    def seconds(self, workers: int, batch: int, network: Network, size: float, slower: float = 1.0) -> float:
        """Returns the seconds of a step whose workers compute so many times slower than one alone would."""
        return slower * (self.fixed + batch / workers * self.example) + network.all_reduce(workers, size)


def network_of(seconds: Dict[int, float]) -> Network:
    """Fits a line to the seconds of all-reduces of two processes, by how many float32 they add up.

    Each sends two messages, of half the bytes.
    """
    slope, begin = _line([4.0 * size for size in seconds], list(seconds.values()))
    return Network(max(begin, 0.0) / 2, 1.0 / slope)


def step_of(images_per_second: Dict[int, float]) -> Step:
    """Fits a line to the steps of one process, by batch size."""
    seconds = [batch / speed for batch, speed in images_per_second.items()]
    example, fixed = _line([float(batch) for batch in images_per_second], seconds)
    return Step(max(fixed, 0.0), example)


def _line(x: List[float], y: List[float]) -> Tuple[float, float]:
    """Returns slope and intercept of the line with the least squares of relative errors."""
    weights = 1.0 / np.array(y)
    slope, intercept = np.polyfit(x, y, 1, w=weights)
    return float(slope), float(intercept)
