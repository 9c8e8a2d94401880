"""Metrics of predictions: those of scikit-learn, and in agreement with each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.class_scores import count_confusions, measure, score_classes


@st.composite
def guesses(draw):
    """Labels and probabilities of at least one image, of which some classes may be absent."""
    classes, count = draw(st.integers(2, 5)), draw(st.integers(1, 12))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    p = random.dirichlet(np.ones(classes), count).astype(np.float32)
    return np.array(labels, dtype=np.int64), p


@given(guesses())
def test_figures_of_any_answers_agree_with_each_other(given):
    labels, p = given
    predicted, classes = p.argmax(axis=1), p.shape[1]
    found = measure(labels, p)
    scores = score_classes(labels, predicted, [str(label) for label in range(classes)])
    table = np.array(count_confusions(labels, predicted, classes))
    assert table.sum() == len(labels)
    assert found["accuracy"] == pytest.approx(table.trace() / len(labels))
    recalls = [each.recall for each in scores.values() if each.support]
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert [each.support for each in scores.values()] == table.sum(axis=1).tolist()
    assert (found["auroc"] is None) == (len(np.unique(labels)) < classes)
    assert found["loss"] > 0
