"""The metrics of a classified split, against definitions written out by hand."""

import numpy as np
import pytest

from estimator_mnist.evaluation import metrics
from estimator_mnist.evaluation.metrics import Classified


@pytest.fixture
def classified() -> Classified:
    random = np.random.default_rng(3)
    labels = random.integers(0, 4, 500).astype(np.int32)
    logits = random.normal(0, 2, (500, 4)).astype(np.float32)
    logits[np.arange(500), labels] += 2
    logits[:, 2] -= 1
    images = random.integers(0, 256, (500, 28, 28, 1)).astype(np.uint8)
    return Classified(images, labels, logits, np.zeros([500, 3], np.float32), np.zeros([5, 5, 2], np.float32))


def test_probabilities_are_a_softmax_that_never_overflows(classified):
    assert classified.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)
    exponentials = np.exp(classified.logits.astype(np.float64))
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
    assert classified.probabilities == pytest.approx(softmax, abs=1e-6)
    huge = Classified(classified.images, classified.labels, classified.logits * 1e30, classified.hidden, np.zeros(1))
    assert np.isfinite(huge.probabilities).all()


def test_the_confusion_matrix_counts_labels_in_rows_and_predictions_in_columns(classified):
    matrix = metrics.confusion_matrix(classified)
    for label in range(4):
        for predicted in range(4):
            both = (classified.labels == label) & (classified.logits.argmax(axis=1) == predicted)
            assert matrix[label, predicted] == both.sum()
    assert matrix.sum() - np.trace(matrix) == classified.mistakes > 0


def test_the_metrics_of_each_class_follow_their_definitions(classified):
    names = ["a", "b", "c", "d"]
    for index, of_class in enumerate(metrics.class_metrics(classified, names)):
        labelled, predicted = classified.labels == index, classified.predicted == index
        correct = (labelled & predicted).sum()
        assert of_class.examples == labelled.sum() and of_class.name == names[index]
        assert of_class.precision == pytest.approx(correct / predicted.sum())
        assert of_class.recall == pytest.approx(correct / labelled.sum())
        assert of_class.f1 == pytest.approx(2 / (1 / of_class.precision + 1 / of_class.recall))
        confusions = np.bincount(classified.predicted[labelled & ~predicted], minlength=4)
        assert of_class.confused_with == names[int(confusions.argmax())] != of_class.name


def test_a_class_without_examples_or_predictions_has_metrics_of_zero():
    labels, logits = np.ones(5, np.int32), np.tile(np.float32([0, 1]), (5, 1))
    of_one = Classified(np.zeros([5, 1, 1, 1], np.uint8), labels, logits, np.zeros([5, 1]), None)
    never, always = metrics.class_metrics(of_one, ["never", "always"])
    assert (never.examples, never.precision, never.recall, never.f1, never.confused_with) == (0, 0, 0, 0, "")
    assert (always.precision, always.recall, always.f1, always.confused_with) == (1, 1, 1, "")


def test_the_worst_classes_are_those_of_the_lowest_f1():
    figures = enumerate([(5, 0.9), (5, 0.2), (5, 0.9), (0, 0.0), (5, 0.1)])
    classes = [metrics.ClassMetrics(str(index), examples, 1.0, 1.0, f1, "") for index, (examples, f1) in figures]
    assert metrics.worst_classes(classes, 3) == [4, 1, 0] and metrics.worst_classes(classes, 9)[-1] == 3


def test_the_most_confident_mistakes_come_first(classified):
    mistakes = metrics.most_confident_mistakes(classified, 20)
    assert len(mistakes) == 20 and all(mistake.label != mistake.predicted for mistake in mistakes)
    probabilities = [mistake.probability for mistake in mistakes]
    assert probabilities == sorted(probabilities, reverse=True)
    incorrect = classified.predicted != classified.labels
    assert probabilities[0] == classified.probabilities.max(axis=1)[incorrect].max()
    for mistake in mistakes:
        assert mistake.probability_of_label == classified.probabilities[mistake.position, mistake.label]
        assert mistake.label == classified.labels[mistake.position]
    assert len(metrics.most_confident_mistakes(classified, 10_000)) == classified.mistakes
