"""Scores of distances, volumes and neighbours against plain forms of their definitions."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from ktg.affinity import score
from ktg.affinity.neighbours import DISTORTION


def drawn(images=40, dimensions=6, apart=1.0, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(images) % 4
    return random.normal(size=(images, dimensions)) + apart * np.eye(4, dimensions)[labels], labels


def test_gbc_is_minus_the_sum_of_coefficients_on_principal_axes():
    features, labels = drawn()
    centred = features - features.mean(axis=0)
    axes = centred @ np.linalg.svd(centred)[2].T
    total = 0.0
    for i in range(4):
        for j in range(4):
            a, b = axes[labels == i], axes[labels == j]
            both = (a.var(0) + b.var(0)) / 2
            distance = ((a.mean(0) - b.mean(0)) ** 2 / both).sum() / 8
            distance += np.log(both.prod() / np.sqrt(a.var(0).prod() * b.var(0).prod())) / 2
            total -= np.exp(-distance) * (i != j)
    assert score("gbc", features, labels) == pytest.approx(total)


def test_gbc_rises_to_zero_as_classes_part_and_is_not_fooled_by_a_single_image():
    values = [score("gbc", *drawn(apart=apart)) for apart in (0, 2, 5, 50)]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(0, abs=1e-9)
    features, labels = drawn(apart=0)
    alone = np.r_[labels[:-1], 9]
    near, far = features.copy(), features.copy()
    near[-1], far[-1] = features[:-1].mean(axis=0), 50
    assert score("gbc", near, alone) < score("gbc", far, alone) - 0.5


def test_parc_is_spearman_over_pairs():
    features, labels = drawn()
    scaled = (features - features.mean(0)) / features.std(0)
    pairs = np.triu_indices(40, 1)
    apart = 1 - np.corrcoef(scaled)[pairs], 1 - np.corrcoef(np.eye(4)[labels])[pairs]
    assert score("parc", features, labels) == pytest.approx(100 * spearmanr(*apart).statistic)


@pytest.mark.parametrize("shape", [(40, 6), (16, 30)])
def test_transrate_is_a_difference_of_coding_rates(shape):
    features, labels = drawn(*shape)

    def rate(part):
        gram = np.eye(part.shape[1]) + part.T @ part / (len(part) * DISTORTION)
        return np.linalg.slogdet(gram)[1] / 2

    centred = features - features.mean(axis=0)
    expected = rate(centred) - np.mean([rate(centred[labels == label]) for label in range(4)])
    assert score("transrate", features, labels) == pytest.approx(expected)


def test_knn_is_the_accuracy_when_each_image_is_left_out():
    features, labels = drawn(images=32, apart=2)
    model = KNeighborsClassifier(
        5, metric="cosine", weights=lambda d: 1 - np.arange(5) / 1000 + 0 * d
    )
    expected = cross_val_score(model, features, labels, cv=LeaveOneOut()).mean()
    assert score("knn", features, labels) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["gbc", "transrate", "knn"])
def test_dead_channels_change_nothing(name):
    features, labels = drawn()
    padded = np.hstack([features, np.zeros((40, 2))])
    assert score(name, padded, labels) == pytest.approx(score(name, features, labels))
