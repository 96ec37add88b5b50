"""How a trained network classifies the evaluated split, and the metrics of each class. NumPy only."""

from dataclasses import dataclass
from functools import cached_property
from typing import List, NamedTuple, Sequence

import numpy as np


@dataclass(frozen=True)
class Classified:
    """A split as a network classifies it, in the order of the split."""

    images: np.ndarray  # uint8 [n, height, width]
    labels: np.ndarray  # int32 [n]
    logits: np.ndarray  # float32 [n, classes]
    hidden: np.ndarray  # float32 [n, units], the layer before the logits
    filters: np.ndarray  # float32 [height, width, filters], the first layer's weights as images
    split: str = "test"  # or "validation"

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float32 [n, classes]."""
        # Subtracting the maximum leaves the softmax as it is and keeps exp from overflowing.
        exponentials = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    @cached_property
    def predicted(self) -> np.ndarray:
        """The class of the largest logit, int64 [n]."""
        return self.logits.argmax(axis=1)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return self.logits.shape[1]

    @property
    def mistakes(self) -> int:
        """Number of examples that are classified incorrectly."""
        return int((self.predicted != self.labels).sum())


class ClassMetrics(NamedTuple):
    """How well the network separates one class from the others. A metric whose divisor is 0 is 0."""

    name: str
    examples: int
    precision: float  # of the examples predicted as this class, the share that belongs to it
    recall: float  # of this class's examples, the share predicted as it
    f1: float  # harmonic mean of precision and recall
    confused_with: str  # the class most often predicted by mistake for this class's examples; "" without mistakes


class Mistake(NamedTuple):
    """An example that is classified incorrectly."""

    position: int  # in the split, from 0
    label: int
    predicted: int
    probability: float  # of the predicted class
    probability_of_label: float


def confusion_matrix(classified: Classified) -> np.ndarray:
    """Returns the confusion matrix, int64 [classes, classes]: examples by label (row) and prediction (column)."""
    classes = classified.classes
    pairs = classified.labels.astype(np.int64) * classes + classified.predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def class_metrics(matrix: np.ndarray, names: Sequence[str]) -> List[ClassMetrics]:
    """Returns the metrics of each class.

    Args:
        matrix: A confusion matrix, as `confusion_matrix` returns it.
        names: Of the classes.
    """
    return [_metrics_of(index, matrix, names) for index in range(len(names))]


def _metrics_of(index: int, matrix: np.ndarray, names: Sequence[str]) -> ClassMetrics:
    correct, examples, predicted = int(matrix[index, index]), int(matrix[index].sum()), int(matrix[:, index].sum())
    mistakes = matrix[index].copy()
    mistakes[index] = 0
    return ClassMetrics(
        names[index],
        examples,
        precision=_ratio(correct, predicted),
        recall=_ratio(correct, examples),
        f1=_ratio(2 * correct, examples + predicted),
        confused_with=names[int(mistakes.argmax())] if mistakes.any() else "",
    )


def _ratio(part: int, total: int) -> float:
    return part / total if total else 0.0


def most_confident_mistakes(classified: Classified, count: int) -> List[Mistake]:
    """Returns up to `count` mistakes, sorted from the highest probability of the predicted class down."""
    mistakes = np.flatnonzero(classified.predicted != classified.labels)
    probabilities = classified.probabilities[mistakes, classified.predicted[mistakes]]
    # A stable sort keeps ties in the order of the split, so the list is always the same.
    positions = mistakes[np.argsort(-probabilities, kind="stable")][:count]
    return [
        Mistake(
            position=int(position),
            label=int(classified.labels[position]),
            predicted=int(classified.predicted[position]),
            probability=float(classified.probabilities[position, classified.predicted[position]]),
            probability_of_label=float(classified.probabilities[position, classified.labels[position]]),
        )
        for position in positions
    ]
