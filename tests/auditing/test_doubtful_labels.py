"""Wrong labels are found; confident learning counts as the paper does; the edges are defined."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ktg.auditing.doubtful_labels import (
    doubt_labels,
    estimate_noise,
    learn_confidently,
    measure_doubt,
    predict_by_regression,
    reduce_features,
    split_folds,
)


def clusters(count: int, classes: int, apart: float, seed: int = 0):
    """Return features (N, 20) around a mean for each class, and the labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    means = random.normal(size=(classes, 20)) * apart
    return means[labels] + random.normal(size=(count, 20)), labels


def spoil(labels, share: float, seed: int = 1):
    """Return labels of which a share is another one."""
    random = np.random.default_rng(seed)
    rows = random.permutation(len(labels))[: round(share * len(labels))]
    wrong = labels.copy()
    wrong[rows] = (labels[rows] + random.integers(1, labels.max() + 1, len(rows))) % (
        labels.max() + 1
    )
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.3])
def test_wrong_labels_are_found_and_their_share_is_estimated(share):
    features, truth = clusters(400, 4, 1.2)
    labels = spoil(truth, share)
    found, wrong = doubt_labels(features, labels), labels != truth
    assert roc_auc_score(wrong, found.doubt) > 0.97
    assert found.noise == pytest.approx(share, abs=0.06)
    assert (found.proposed[wrong] == truth[wrong]).mean() > 0.9
    assert estimate_noise(features, labels) == found.noise


def test_clean_labels_raise_few_alarms():
    found = doubt_labels(*clusters(400, 4, 1.5))
    assert found.noise < 0.03
    assert found.wrong.mean() < 0.03


def test_an_image_held_out_teaches_nothing():
    features, labels = clusters(120, 3, 1.5)
    held = np.arange(120) >= 90
    other = labels.copy()
    other[held] = (labels[held] + 1) % 3
    one, two = doubt_labels(features, labels, held=held), doubt_labels(features, other, held=held)
    assert np.array_equal(one.probabilities, two.probabilities)
    assert one.noise == two.noise
    assert two.wrong[held].mean() > 0.9
    assert not one.wrong[held].any()


def test_twins_do_not_vouch_for_each_other():
    features, labels = clusters(120, 3, 1.5)
    labels[:2] = (labels[0] + 1) % 3
    features[1] = features[0]  # the same image with the same wrong label
    groups = np.arange(120)
    groups[1] = 0
    folds = split_folds(labels, groups)
    assert folds[0] == folds[1]
    assert doubt_labels(features, labels, groups).wrong[:2].all()


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 1, 2, 3], [0, 0, 0, 1], [0, 0]])
def test_where_nothing_can_be_held_out_nothing_is_doubted(labels):
    features = np.random.default_rng(0).normal(size=(len(labels), 5))
    found = doubt_labels(features, np.array(labels))
    assert not found.wrong.any()
    assert (found.doubt == -np.inf).all()
    assert found.noise == 0.0


def test_two_classes_and_a_class_of_one_image_are_no_trouble():
    features, labels = clusters(60, 2, 1.5)
    labels[0] = 2
    found = doubt_labels(features, labels)
    assert found.probabilities.shape == (60, 3)
    assert np.isfinite(found.doubt).all()


@given(st.integers(0, 10_000), st.integers(2, 5))
def test_confident_learning_is_that_of_the_paper(seed, classes):
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(classes), 30)
    labels = random.integers(0, classes, 30)
    thresholds = [
        probabilities[labels == k, k].mean() if (labels == k).any() else np.inf
        for k in range(classes)
    ]
    joint, wrong = np.zeros((classes, classes)), []
    for row, label in zip(probabilities, labels, strict=True):
        reached = [k for k in range(classes) if row[k] >= thresholds[k]]
        best = max(reached, key=lambda k, row=row: row[k], default=None)
        wrong.append(best is not None and best != label)
        if best is not None:
            joint[label, best] += 1
    right = sum(
        (labels == k).sum() * (joint[k, k] / joint[k].sum() if joint[k].sum() else 1.0)
        for k in range(classes)
    )
    found, noise = learn_confidently(probabilities, labels)
    assert found.tolist() == wrong
    assert noise == pytest.approx(1 - right / 30, abs=1e-12)
    assert 0 <= noise <= 1


@given(st.integers(0, 10_000))
def test_doubt_is_positive_exactly_where_another_class_is_likelier(seed):
    random = np.random.default_rng(seed)
    probabilities, labels = random.dirichlet(np.ones(4), 20), random.integers(0, 4, 20)
    doubt, proposed = measure_doubt(probabilities, labels)
    assert (proposed != labels).all()
    assert ((doubt > 0) == (probabilities.argmax(axis=1) != labels)).all()


def test_reduced_features_do_not_depend_on_the_length_of_features():
    features, _ = clusters(50, 3, 1.0)
    np.testing.assert_allclose(reduce_features(7 * features), reduce_features(features), atol=1e-9)
    assert reduce_features(np.random.default_rng(0).normal(size=(30, 600))).shape == (30, 30)


def test_a_regression_on_one_label_is_sure_of_it():
    found = predict_by_regression(np.ones((3, 2)), np.array([1, 1, 1]), np.ones((2, 2)), 1.0, 3)
    assert found.tolist() == [[0, 1, 0], [0, 1, 0]]
