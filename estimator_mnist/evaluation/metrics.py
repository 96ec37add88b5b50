"""What a trained network makes of the evaluated split, and the figures that follow from it. NumPy only."""

from dataclasses import dataclass
from functools import cached_property
from typing import List, NamedTuple, Sequence

import numpy as np


@dataclass(frozen=True)
class Classified:
    """A split as a network classifies it, in the order of the split."""

    images: np.ndarray  # uint8 [n, 28, 28]
    labels: np.ndarray  # int32 [n]
    logits: np.ndarray  # float32 [n, classes]
    hidden: np.ndarray  # float32 [n, units], the layer before the logits
    filters: np.ndarray  # float32 [height, width, filters], the first layer's weights, as images
    split: str = "test"  # or "validation"

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float32 [n, classes]."""
        # Without its maximum, which changes nothing, no logit can overflow.
        powers = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    @cached_property
    def predicted(self) -> np.ndarray:
        """The class of the largest logit, int64 [n]."""
        return self.logits.argmax(axis=1)

    @property
    def classes(self) -> int:
        return self.logits.shape[1]

    @property
    def mistakes(self) -> int:
        """How many examples are classified wrong."""
        return int((self.predicted != self.labels).sum())


class ClassFigures(NamedTuple):
    """How well one class is told from the others. A share of nothing is 0."""

    name: str
    examples: int
    precision: float  # share of what is predicted to be of the class that is
    recall: float  # share of the class that is predicted to be
    f1: float  # harmonic mean of the two
    taken_for: str  # the class that its examples are most often taken for by mistake; "" where there is no mistake


class Mistake(NamedTuple):
    """An example classified wrong."""

    position: int  # in the split
    label: int
    predicted: int
    probability: float  # given to the class predicted
    probability_of_label: float


def confusion_matrix(classified: Classified) -> np.ndarray:
    """Returns how many examples of each class (row) are predicted to be of each class (column), int64."""
    classes = classified.classes
    pairs = classified.labels.astype(np.int64) * classes + classified.predicted
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def class_figures(matrix: np.ndarray, names: Sequence[str]) -> List[ClassFigures]:
    """Returns the figures of each class from a confusion matrix."""
    found = []
    for index, name in enumerate(names):
        right, examples, predicted = int(matrix[index, index]), int(matrix[index].sum()), int(matrix[:, index].sum())
        wrong = matrix[index].copy()
        wrong[index] = 0
        found.append(
            ClassFigures(
                name,
                examples,
                precision=_share(right, predicted),
                recall=_share(right, examples),
                f1=_share(2 * right, examples + predicted),
                taken_for=names[int(wrong.argmax())] if wrong.any() else "",
            )
        )
    return found


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def most_confident_mistakes(classified: Classified, count: int) -> List[Mistake]:
    """Returns up to `count` mistakes, those made with the highest probability first."""
    wrong = np.flatnonzero(classified.predicted != classified.labels)
    chosen = classified.probabilities[wrong, classified.predicted[wrong]]
    # Stable, so that of equals the first in the split comes first: the same list every time.
    indices = wrong[np.argsort(-chosen, kind="stable")][:count]
    return [
        Mistake(
            int(index),
            int(classified.labels[index]),
            int(classified.predicted[index]),
            float(classified.probabilities[index, classified.predicted[index]]),
            float(classified.probabilities[index, classified.labels[index]]),
        )
        for index in indices
    ]
