"""Intervals: against scipy and published figures, and what must hold for any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ktg.reporting.intervals import binomial, of_difference, of_mean

ACCURACY = st.floats(0.5, 1)
STD = st.floats(0, 0.2)
SEEDS = st.integers(2, 50)


def test_wilson_as_published():
    # Newcombe, Statistics in Medicine 1998, table I, method 3: 81 of 263, and 1 of 29.
    assert binomial(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert binomial(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_accuracy_and_stays_within_one(pair):
    right, images = pair
    low, high = binomial(right / images, images)
    assert -1e-12 <= low <= right / images + 1e-12
    assert right / images - 1e-12 <= high <= 1 + 1e-12


def test_no_images_no_interval():
    with pytest.raises(ValueError, match="n"):
        binomial(0.5, 0)


@given(ACCURACY, STD.filter(lambda std: std > 1e-6), SEEDS)
def test_the_interval_of_a_mean_is_student_s(mean, std, n):
    assert of_mean(mean, std, n) == pytest.approx(stats.t.interval(0.95, n - 1, mean, std / n**0.5))


@given(ACCURACY, STD.filter(lambda std: std > 1e-6), SEEDS, ACCURACY, STD, SEEDS)
def test_the_interval_of_a_difference_is_welch_s(mean_a, std_a, n_a, mean_b, std_b, n_b):
    # Its ends are the differences that Welch's test, as scipy has it, rejects with p = 0.05.
    for end in of_difference((mean_a, std_a, n_a), (mean_b, std_b, n_b)):
        found = stats.ttest_ind_from_stats(mean_a - end, std_a, n_a, mean_b, std_b, n_b, equal_var=False)
        assert found.pvalue == pytest.approx(0.05, rel=1e-6)


def test_without_spread_a_difference_is_a_point():
    assert of_difference((0.9, 0.0, 3), (0.5, 0.0, 2)) == (0.4, 0.4)
