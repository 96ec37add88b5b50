"""The figures of a classified split, against definitions written out by hand."""

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
    images = random.integers(0, 256, (500, 28, 28)).astype(np.uint8)
    return Classified(images, labels, logits, np.zeros([500, 3], np.float32), np.zeros([5, 5, 2], np.float32))


def test_probabilities_are_a_softmax_that_no_logit_overflows(classified):
    assert classified.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)
    powers = np.exp(classified.logits.astype(np.float64))
    assert classified.probabilities == pytest.approx(powers / powers.sum(axis=1, keepdims=True), abs=1e-6)
    huge = Classified(classified.images, classified.labels, classified.logits * 1e30, classified.hidden, np.zeros(1))
    assert np.isfinite(huge.probabilities).all()


def test_the_confusion_matrix_counts_labels_in_rows_and_predictions_in_columns(classified):
    matrix = metrics.confusion_matrix(classified)
    for label in range(4):
        for predicted in range(4):
            both = (classified.labels == label) & (classified.logits.argmax(axis=1) == predicted)
            assert matrix[label, predicted] == both.sum()
    assert matrix.sum() - np.trace(matrix) == classified.mistakes > 0


def test_the_figures_of_each_class_are_those_of_their_definitions(classified):
    names = ["a", "b", "c", "d"]
    for index, found in enumerate(metrics.class_figures(metrics.confusion_matrix(classified), names)):
        of_class, predicted = classified.labels == index, classified.predicted == index
        right = (of_class & predicted).sum()
        assert found.examples == of_class.sum() and found.name == names[index]
        assert found.precision == pytest.approx(right / predicted.sum())
        assert found.recall == pytest.approx(right / of_class.sum())
        assert found.f1 == pytest.approx(2 / (1 / found.precision + 1 / found.recall))
        wrong = np.bincount(classified.predicted[of_class & ~predicted], minlength=4)
        assert found.taken_for == names[int(wrong.argmax())] != found.name


def test_a_class_that_is_never_seen_or_predicted_has_shares_of_zero():
    nothing, right = metrics.class_figures(np.array([[0, 0], [0, 5]]), ["never", "always"])
    assert (nothing.examples, nothing.precision, nothing.recall, nothing.f1, nothing.taken_for) == (0, 0, 0, 0, "")
    assert (right.precision, right.recall, right.f1, right.taken_for) == (1, 1, 1, "")


def test_mistakes_come_with_the_highest_probability_first(classified):
    found = metrics.most_confident_mistakes(classified, 20)
    assert len(found) == 20 and all(mistake.label != mistake.predicted for mistake in found)
    probabilities = [mistake.probability for mistake in found]
    assert probabilities == sorted(probabilities, reverse=True)
    wrong = classified.predicted != classified.labels
    assert probabilities[0] == classified.probabilities.max(axis=1)[wrong].max()
    for mistake in found:
        assert mistake.probability_of_label == classified.probabilities[mistake.position, mistake.label]
        assert mistake.label == classified.labels[mistake.position]
    everything = metrics.most_confident_mistakes(classified, 10_000)
    assert len(everything) == classified.mistakes
