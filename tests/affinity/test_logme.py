"""LogME against the reference program, the definition, and where fixed points break."""

import math

import numpy as np
import pytest
import torch
from plain_logme import logme_fixed_point

from ktg.affinity import score
from ktg.affinity.sample import Sample


def drawn(images, dimensions, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(images) % 3
    return random.normal(size=(images, dimensions)) + 4 * np.eye(3, dimensions)[labels], labels


def evidence(features, target, alpha, beta):
    """Return log p(y) per image: y is Gaussian with covariance I / beta + F F^T / alpha."""
    images = len(features)
    covariance = np.eye(images) / beta + features @ features.T / alpha
    quadratic = target @ np.linalg.solve(covariance, target)
    return -(quadratic + np.linalg.slogdet(covariance)[1] + images * math.log(2 * math.pi)) / (
        2 * images
    )


@pytest.mark.parametrize("case", range(5))
def test_reference_numbers(shared, case):
    with np.load(shared / "reference" / "affinity" / "scores.npz", allow_pickle=False) as file:
        features, labels, expected = (
            file[f"{case:02d}/{key}"] for key in ("features", "labels", "logme")
        )
    averaged = features.mean(axis=(2, 3))  # in float32, as the reference did
    assert logme_fixed_point(Sample.of(averaged, labels)) == pytest.approx(
        float(expected), rel=1e-12
    )
    assert score("logme", features, labels) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("shape", [(40, 5), (12, 30), (20, 20)])
def test_it_is_the_largest_evidence(shape):
    features, labels = drawn(*shape)
    found = score("logme", features, labels)
    precisions = np.logspace(-4, 4, 81)
    best = [
        max(
            evidence(features, (labels == c).astype(float), a, b)
            for a in precisions[::2]
            for b in precisions[::2]
        )
        for c in range(3)
    ]
    assert found >= np.mean(best)
    assert found == pytest.approx(np.mean(best), abs=2e-2)


@pytest.mark.parametrize("shape", [(40, 5), (25, 12)])
def test_a_fixed_point_that_has_converged_is_that_maximum(shape):
    sample = Sample.of(*drawn(*shape))
    converged = logme_fixed_point(sample, iterations=5000, tolerance=1e-13)
    assert converged == pytest.approx(score("logme", *drawn(*shape)), rel=1e-9)
    assert logme_fixed_point(sample) <= converged + 1e-12


def test_features_that_say_nothing_and_features_that_say_all():
    labels = np.arange(12) % 2
    nothing = score("logme", np.zeros((12, 4)), labels)
    assert nothing == pytest.approx((math.log(12 / 6) - 1 - math.log(2 * math.pi)) / 2)
    everything = score("logme", np.eye(2)[labels], labels)
    assert nothing + 5 < everything < nothing + 50


def test_a_rotation_and_a_copy_of_the_labels_do_not_matter():
    features, labels = drawn(30, 6)
    rotation = torch.linalg.qr(
        torch.randn(6, 6, generator=torch.Generator().manual_seed(0)).double()
    ).Q
    assert score("logme", features @ rotation.numpy(), labels) == pytest.approx(
        score("logme", features, labels)
    )
    assert score("logme", features * 1e3, labels) == pytest.approx(score("logme", features, labels))
