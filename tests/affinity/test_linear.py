"""The H-score and the linear probe against their definitions and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import Ridge

from ktg.affinity import score
from ktg.affinity.linear import ledoit_wolf
from ktg.affinity.spectrum import decompose


def drawn(images, dimensions, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(images) % 4
    noise = random.normal(size=(images, dimensions)) * np.linspace(1, 3, dimensions)
    return noise + 2 * np.eye(4, dimensions)[labels], labels


def class_means(features, labels):
    return np.stack([features[labels == label].mean(axis=0) for label in labels])


@pytest.mark.parametrize("case", range(5))
def test_reference_numbers(shared, case):
    with np.load(shared / "reference" / "affinity" / "scores.npz", allow_pickle=False) as file:
        features, labels, expected = (
            file[f"{case:02d}/{key}"] for key in ("features", "labels", "hscore")
        )
    assert score("hscore", features, labels) == pytest.approx(float(expected), rel=1e-6)


def test_hscore_is_its_definition():
    features, labels = drawn(60, 5)
    ratio = np.linalg.solve(np.cov(features.T), np.cov(class_means(features, labels).T))
    assert score("hscore", features, labels) == pytest.approx(np.trace(ratio))


@pytest.mark.parametrize("shape", [(60, 5), (20, 50)])
def test_the_shrunk_form_uses_the_covariance_of_ledoit_and_wolf(shape):
    features, labels = drawn(*shape)
    fitted = LedoitWolf().fit(features)
    centred = torch.from_numpy(features)
    assert ledoit_wolf(decompose(centred, centred.mean(0))) == pytest.approx(fitted.shrinkage_)
    between = np.cov(class_means(features, labels).T, bias=True)
    expected = (1 - fitted.shrinkage_) * np.trace(np.linalg.solve(fitted.covariance_, between))
    assert score("hscore_shrunk", features, labels) == pytest.approx(expected)


def test_with_more_dimensions_than_images_labels_still_matter():
    """Where the plain H-score is K - 1 for true and for permuted labels."""
    features, labels = drawn(24, 40)
    permuted = np.random.default_rng(1).permutation(labels)
    assert score("hscore", features, labels) == score("hscore_shrunk", features, labels)
    assert score("hscore", features, labels) > 1.05 * score("hscore", features, permuted)


def test_hscore_ignores_invertible_maps_and_channels_that_add_nothing():
    features, labels = drawn(60, 5)
    mixed = features @ np.random.default_rng(3).normal(size=(5, 5)) + 7
    assert score("hscore", mixed, labels) == pytest.approx(score("hscore", features, labels))
    padded = np.hstack([features, features[:, :1], np.ones((60, 1))])
    assert score("hscore", padded, labels) == pytest.approx(score("hscore", features, labels))


@pytest.mark.parametrize("shape", [(24, 6), (16, 40)])
def test_the_probe_predicts_what_refitting_without_each_image_predicts(shape, monkeypatch):
    features, labels = drawn(*shape)
    penalty = float(
        (np.linalg.svd(features - features.mean(0))[1] ** 2)[: min(shape[0] - 1, shape[1])].mean()
    )
    monkeypatch.setattr("ktg.affinity.linear._RIDGES", torch.tensor([0.1], dtype=torch.float64))
    right = 0
    for out in range(len(labels)):
        rest = np.arange(len(labels)) != out
        model = Ridge(alpha=0.1 * penalty).fit(features[rest], np.eye(4)[labels[rest]])
        right += model.predict(features[[out]]).argmax() == labels[out]
    assert score("linear_probe", features, labels) == pytest.approx(right / len(labels))


def test_the_probe_on_features_that_say_nothing_or_everything():
    labels = np.array([0] * 8 + [1] * 4)
    assert score("linear_probe", np.ones((12, 3)), labels) == pytest.approx(8 / 12)
    assert score("linear_probe", np.eye(2)[labels], labels) == 1.0
