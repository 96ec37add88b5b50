"""The model of a training step that several workers share, and its fit to measurements; see scale.py."""

from typing import Dict, List, NamedTuple, Tuple

import numpy as np


class Network(NamedTuple):
    """The cost of messages."""

    latency: float  # seconds a message
    bandwidth: float  # bytes a second

    def all_reduce(self, workers: int, size: float) -> float:
        """Returns the seconds of a ring all-reduce of `size` bytes (Patarasuk and Yuan 2009)."""
        messages = 2 * (workers - 1)
        return messages * self.latency + messages / workers * size / self.bandwidth


class Step(NamedTuple):
    """The cost of a step of one process, in seconds."""

    fixed: float  # a step
    example: float  # an example

    def seconds(self, workers: int, batch: int, network: Network, size: float, slowdown: float = 1.0) -> float:
        """Returns the seconds of a step.

        Args:
            workers: Number of workers that share the batch.
            batch: Global batch size.
            network: Connects the workers.
            size: Bytes of the gradients.
            slowdown: How many times slower a worker computes than one process alone.
        """
        return slowdown * (self.fixed + batch / workers * self.example) + network.all_reduce(workers, size)


def network_of(seconds: Dict[int, float]) -> Network:
    """Returns the network, from the seconds of all-reduces of two workers by the number of float32 values.

    Fits a line. Each worker sends two messages of half the bytes.
    """
    slope, intercept = _line([4.0 * size for size in seconds], list(seconds.values()))
    return Network(max(intercept, 0.0) / 2, 1.0 / slope)


def step_of(images_per_second: Dict[int, float]) -> Step:
    """Returns the cost of a step, from the throughput of one process by batch size. Fits a line."""
    seconds = [batch / speed for batch, speed in images_per_second.items()]
    example, fixed = _line([float(batch) for batch in images_per_second], seconds)
    return Step(max(fixed, 0.0), example)


def _line(x: List[float], y: List[float]) -> Tuple[float, float]:
    """Returns slope and intercept of the line that minimises the squared relative errors."""
    weights = 1.0 / np.array(y)
    slope, intercept = np.polyfit(x, y, 1, w=weights)
    return float(slope), float(intercept)
