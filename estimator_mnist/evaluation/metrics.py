"""How a trained network classifies the evaluated split, and the metrics of each class. NumPy only."""

from dataclasses import dataclass
from functools import cached_property
from typing import List, NamedTuple, Optional, Sequence

import numpy as np

MANY_CLASSES = 20  # tables of more classes would be unreadable: they show this many, the worst ones


@dataclass(frozen=True)
class Classified:
    """A split as a network classifies it, in the order of the split."""

    images: np.ndarray  # uint8 [n, height, width, channels]
    labels: np.ndarray  # int32 [n]
    logits: np.ndarray  # float32 [n, classes]
    # The layer before the logits, float32 [n or the first 10,000, units]; see `model.model_fn.classify`.
    hidden: np.ndarray
    # The first kernel as images, float32 [height, width, filters], or [height, width, 3, filters] of colour images.
    filters: Optional[np.ndarray]  # None for a network without a kernel
    split: str = "test"  # or "validation"
    light_on_dark: bool = True  # whether grey images have a dark background, as MNIST's; they are shown as negatives

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


def class_metrics(classified: Classified, names: Sequence[str]) -> List[ClassMetrics]:
    """Returns the metrics of each class. Needs no confusion matrix, which grows with the square of the classes.

    Args:
        classified: The split.
        names: Of the classes.
    """
    labels, predicted, classes = classified.labels, classified.predicted, len(names)
    examples, predictions, correct = (
        np.bincount(of, minlength=classes) for of in (labels, predicted, labels[labels == predicted])
    )
    confused_with = _top_confusions(classified)
    return [
        ClassMetrics(
            name,
            int(examples[index]),
            precision=_ratio(correct[index], predictions[index]),
            recall=_ratio(correct[index], examples[index]),
            f1=_ratio(2 * correct[index], examples[index] + predictions[index]),
            confused_with=names[confused_with[index]] if confused_with[index] >= 0 else "",
        )
        for index, name in enumerate(names)
    ]


def worst_classes(classes: Sequence[ClassMetrics], count: int) -> List[int]:
    """Returns the indices of the `count` classes of the lowest F1, from the lowest up; of equals the first.

    Classes without examples come last: nothing is known about them.
    """
    return sorted(range(len(classes)), key=lambda index: (not classes[index].examples, classes[index].f1))[:count]


def _top_confusions(classified: Classified) -> np.ndarray:
    """Returns for each class the one most often predicted by mistake, of equals the first; -1 without mistakes."""
    classes, wrong = classified.classes, classified.predicted != classified.labels
    pairs, counts = np.unique(
        classified.labels[wrong].astype(np.int64) * classes + classified.predicted[wrong], return_counts=True
    )
    labels, predicted = pairs // classes, pairs % classes
    order = np.lexsort((-predicted, counts))  # the last of each label wins below: the most frequent, then the first
    top = np.full(classes, -1)
    top[labels[order]] = predicted[order]
    return top


def _ratio(part: int, total: int) -> float:
    return float(part / total) if total else 0.0


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
