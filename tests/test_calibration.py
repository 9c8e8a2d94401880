"""Calibration and rejection: against worked numbers, and what must hold for any predictions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from ktg.calibration import (
    MOST_THRESHOLDS,
    compute_calibration_error,
    fit_temperature,
    measure_rejection,
    measure_reliability,
    score_knowing,
    soften,
    to_logits,
)


def draw(seed, images=400, classes=5, truth=1.0):
    """Return logits and labels that are drawn from their softmax at a temperature."""
    random = np.random.default_rng(seed)
    logits = 3 * random.normal(size=(images, classes))
    shares = softmax(logits / truth, axis=1).cumsum(axis=1)
    return logits, (random.uniform(size=(images, 1)) > shares).sum(axis=1).clip(0, classes - 1)


WORLDS = st.integers(0, 10_000).map(draw)


def test_the_worked_temperature():
    logits, labels = np.array([[2.0, 0.0]] * 4), np.array([0, 0, 0, 1])
    assert fit_temperature(logits, labels) == pytest.approx(2 / np.log(3.1 / 1.1), rel=1e-4)


@pytest.mark.parametrize("truth", [0.5, 1.0, 2.5])
def test_the_temperature_by_which_labels_were_drawn_is_found(truth):
    logits, labels = draw(0, images=20_000, truth=truth)
    assert fit_temperature(logits, labels) == pytest.approx(truth, rel=0.05)
    before, after = (
        compute_calibration_error(measure_reliability(softmax(each, axis=1), labels))
        for each in (logits, logits / truth)
    )
    assert after < 0.015
    assert after < before or truth == 1.0


@given(WORLDS, st.floats(0.3, 3))
def test_the_temperature_grows_with_the_logits(world, factor):
    logits, labels = world
    assert fit_temperature(factor * logits, labels) == pytest.approx(
        factor * fit_temperature(logits, labels), rel=1e-3
    )


@given(WORLDS)
def test_it_lowers_the_loss_and_changes_no_label(world):
    logits, labels = world
    temperature = fit_temperature(logits, labels)
    rows = np.arange(len(labels))
    before, after = (
        -log_softmax(each, axis=1)[rows, labels].mean() for each in (logits, logits / temperature)
    )
    assert after <= before + 0.01  # the one image of doubt counts for little among 400
    probabilities = softmax(logits, axis=1)
    softened = soften(logits, temperature)
    np.testing.assert_allclose(softened, softmax(logits / temperature, axis=1), atol=1e-6)
    np.testing.assert_array_equal(softened.argmax(axis=1), logits.argmax(axis=1))
    assert fit_temperature(to_logits(probabilities), labels) == pytest.approx(temperature, rel=1e-3)


@pytest.mark.parametrize("images", [1, 5, 100])
def test_few_images_that_are_all_right_leave_doubt(images):
    logits = np.tile([30.0, 0.0], (images, 1))
    temperature = fit_temperature(logits, np.zeros(images, int))
    sure = softmax(logits[0] / temperature)[0]
    assert sure == pytest.approx((images + 0.1) / (images + 0.2), abs=1e-3)


def test_a_temperature_of_two():
    np.testing.assert_allclose(soften(np.log([[0.8, 0.2]]), 2), [[2 / 3, 1 / 3]])


def test_the_worked_calibration_error():
    probabilities = np.array([[0.9, 0.1]] * 3 + [[0.5, 0.5]])
    bins = measure_reliability(probabilities, np.array([0, 0, 1, 0]))
    assert [(each.images, each.accuracy) for each in bins] == [(1, 1.0), (3, pytest.approx(2 / 3))]
    assert compute_calibration_error(bins) == pytest.approx((3 * (0.9 - 2 / 3) + 0.5) / 4)


@given(WORLDS)
def test_the_bins_hold_all_images(world):
    logits, labels = world
    probabilities = softmax(logits, axis=1)
    bins = measure_reliability(probabilities, labels)
    assert sum(each.images for each in bins) == len(labels)
    right = (probabilities.argmax(axis=1) == labels).mean()
    assert sum(each.images * each.accuracy for each in bins) / len(labels) == pytest.approx(right)
    assert 0 <= compute_calibration_error(bins) <= 1


def test_scores_of_knowing():
    logits = np.log([[1.0, 3.0]])
    assert score_knowing("probability", logits) == pytest.approx(0.75)
    assert score_knowing("energy", logits) == pytest.approx(np.log(4))


@given(WORLDS, st.sampled_from(["probability", "energy"]), st.floats(0.5, 1))
def test_the_threshold_keeps_its_promise_on_the_images_it_was_chosen_by(world, by, precision):
    logits, labels = world
    scores, right = score_knowing(by, logits), logits.argmax(axis=1) == labels
    found = measure_rejection(by, scores, right)
    assert len(found.thresholds) <= MOST_THRESHOLDS
    assert list(found.thresholds) == sorted(set(found.thresholds))
    assert (found.answered[0], found.right[0]) == (len(labels), right.sum())
    chosen = found.choose_threshold(precision)
    if chosen is not None:
        threshold, answered, hits = chosen
        reached = scores >= threshold
        assert (reached.sum(), right[reached].sum()) == (answered, hits)
        assert hits >= precision * answered
    assert found.choose_threshold(0.0) == (found.thresholds[0], found.answered[0], found.right[0])


def test_equal_scores_are_answered_together():
    found = measure_rejection(
        "probability", np.array([0.9, 0.9, 0.8, 0.7]), np.array([True, False, True, True])
    )
    assert (found.thresholds, found.answered, found.right) == (
        (0.7, 0.8, 0.9),
        (4, 3, 2),
        (3, 2, 1),
    )
    assert found.choose_threshold(0.75) == (0.7, 4, 3)
    assert found.choose_threshold(0.8) is None
