"""Intervals: against scipy and published figures, and what must hold for any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ktg.intervals import (
    binomial_interval,
    difference_interval,
    mean_interval,
    paired_interval,
    paired_mean_interval,
    paired_proportion_interval,
    proportion_difference_interval,
)
from ktg.searching.score import cut_difference

ACCURACY = st.floats(0.3, 0.7)
STD = st.floats(0, 0.002)  # small enough that no end is cut to what can be
SEEDS = st.integers(2, 50)


def test_wilson_as_published():
    # Newcombe, Statistics in Medicine 1998, table I, method 3: 81 of 263, and 1 of 29.
    assert binomial_interval(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert binomial_interval(1 / 29, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_accuracy_and_stays_within_one(pair):
    right, images = pair
    low, high = binomial_interval(right / images, images)
    assert -1e-12 <= low <= right / images + 1e-12
    assert right / images - 1e-12 <= high <= 1 + 1e-12


def test_no_images_no_interval():
    with pytest.raises(ValueError, match="n"):
        binomial_interval(0.5, 0)


def test_newcombe_as_published():
    # Statistics in Medicine 1998, p. 873, table II, method 10: contrasts (b) and (h).
    assert proportion_difference_interval(0.9, 0.3, 10) == pytest.approx((0.1705, 0.8090), abs=5e-5)
    assert proportion_difference_interval(1.0, 0.0, 10) == pytest.approx((0.6075, 1.0), abs=5e-5)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 9))
def test_an_interval_of_proportions_is_turned_with_them_and_wider_for_more(a, b, comparisons):
    low, high = proportion_difference_interval(a / 40, b / 40, 40, comparisons)
    assert -1 <= low - 1e-12 <= (a - b) / 40 <= high + 1e-12 <= 1 + 1e-12
    turned = proportion_difference_interval(b / 40, a / 40, 40, comparisons)
    assert turned == pytest.approx((-high, -low))
    wide = proportion_difference_interval(a / 40, b / 40, 40, comparisons + 1)
    assert wide[0] <= low
    assert high <= wide[1]


def test_no_interval_goes_beyond_what_can_be():
    assert mean_interval(0.9, 0.3, 2) == (0, 1)
    assert difference_interval((0.9, 0.4, 2), (0.5, 0.4, 2)) == (-1, 1)
    assert paired_interval(np.array([[1.0, 1.0, 0.0], [-1.0, 0.0, -1.0]])) == (-1, 1)
    wide = paired_mean_interval([0.9, -0.2])  # of any unit, so its metric says what can be
    assert wide[0] < -1 < 1 < wide[1]
    assert cut_difference("accuracy", wide) == cut_difference("auroc", wide) == (-1, 1)
    assert cut_difference("loss", wide) == wide


@given(ACCURACY, STD.filter(lambda std: std > 1e-6), SEEDS)
def test_the_interval_of_a_mean_is_student_s(mean, std, n):
    assert mean_interval(mean, std, n) == pytest.approx(
        stats.t.interval(0.95, n - 1, mean, std / n**0.5)
    )


@given(ACCURACY, STD.filter(lambda std: std > 1e-6), SEEDS, ACCURACY, STD, SEEDS)
def test_the_interval_of_a_difference_is_welch_s(mean_a, std_a, n_a, mean_b, std_b, n_b):
    # Its ends are the differences that Welch's test, as scipy has it, rejects with p = 0.05.
    for end in difference_interval((mean_a, std_a, n_a), (mean_b, std_b, n_b)):
        found = stats.ttest_ind_from_stats(
            mean_a - end, std_a, n_a, mean_b, std_b, n_b, equal_var=False
        )
        assert found.pvalue == pytest.approx(0.05, rel=1e-6)


def test_seeds_without_spread_prove_no_more_than_as_many_equal_pairs():
    assert mean_interval(0.9, 0.0, 5) is None
    assert mean_interval(0.9, 1e-17, 5) is None  # by which equal accuracies may differ
    found = difference_interval((0.95, 0.0, 3), (0.9, 1e-17, 2))
    assert found == pytest.approx(paired_mean_interval([0.05, 0.05]))
    assert found == pytest.approx((-0.0217, 0.1217), abs=1e-4)
    assert difference_interval((0.9, 0.0, 9), (0.0, 0.0, 9))[1] == 1


TABLES = st.tuples(st.integers(2, 6), st.integers(2, 30), st.integers(0, 1000)).map(
    lambda each: np.random.default_rng(each[2]).integers(-1, 2, each[:2]) / 128
)


@given(TABLES)
def test_of_images_that_are_all_alike_the_paired_interval_is_student_s_over_seeds(table):
    by_seed = table[:, 0]
    table = np.repeat(by_seed[:, None], 9, axis=1)
    low, high = paired_interval(table)
    if by_seed.std() == 0:
        assert (low, high) == (by_seed[0], by_seed[0])
        return
    zeros = np.zeros_like(
        by_seed
    )  # its ends are the differences that the paired t-test rejects with p = 0.05
    assert stats.ttest_rel(by_seed - low, zeros).pvalue == pytest.approx(0.05, rel=1e-6)
    assert stats.ttest_rel(by_seed - high, zeros).pvalue == pytest.approx(0.05, rel=1e-6)


@given(TABLES)
def test_of_seeds_that_are_all_alike_it_is_student_s_over_images(table):
    by_image = table[0]
    if by_image.std() == 0:
        return
    low, high = paired_interval(np.repeat(by_image[None], 3, axis=0))
    expected = stats.t.interval(0.95, by_image.size - 1, by_image.mean(), stats.sem(by_image))
    assert (low, high) == pytest.approx(expected)


@given(TABLES)
def test_a_paired_interval_is_turned_with_its_graphs_and_wider_for_more_comparisons(table):
    low, high = paired_interval(table)
    assert low - 1e-12 <= table.mean() <= high + 1e-12
    assert paired_interval(-table) == pytest.approx((-high, -low))
    wide = paired_interval(table, 4)
    assert wide[0] <= low
    assert high <= wide[1]
    # Each of four intervals with 98.75 %: Bonferroni.
    if high > low:
        freedom = _freedom(table)
        assert (wide[1] - wide[0]) / (high - low) == pytest.approx(
            stats.t.isf(0.00625, freedom) / stats.t.isf(0.025, freedom)
        )


def _freedom(table):
    a, b = (
        table.mean(axis=1).var(ddof=1) / table.shape[0],
        table.mean(axis=0).var(ddof=1) / table.shape[1],
    )
    return (a + b) ** 2 / (a**2 / (table.shape[0] - 1) + b**2 / (table.shape[1] - 1))


@pytest.mark.parametrize(
    ("of_seeds", "of_images"), [(0.0, 0.0), (0.01, 0.0), (0.0, 0.2), (0.02, 0.2)]
)
def test_the_paired_interval_holds_the_truth_in_95_of_100_worlds(of_seeds, of_images):
    random, worlds, held = np.random.default_rng(0), 400, 0
    for _ in range(worlds):
        seeds, images = (
            of_seeds * random.normal(size=(5, 1)),
            of_images * random.normal(size=(1, 200)),
        )
        low, high = paired_interval(0.1 + seeds + images + 0.25 * random.normal(size=(5, 200)))
        held += low <= 0.1 <= high
    assert stats.binomtest(held, worlds, 0.95).pvalue > 1e-3 or held > 0.95 * worlds
    assert held < worlds


def test_a_mean_over_seeds_has_the_interval_of_student_and_of_any_unit():
    assert paired_mean_interval([0.01, 0.02, 0.03]) == pytest.approx((-0.0048, 0.0448), abs=1e-4)
    scaled = paired_mean_interval([100.0, 200.0, 300.0])  # a loss is no share of one
    assert scaled == pytest.approx((-48.4, 448.4), abs=0.1)
    wide = paired_mean_interval([0.01, 0.02, 0.03], comparisons=5)
    assert wide[0] < -0.0048
    assert wide[1] > 0.0448


@pytest.mark.parametrize("n", [2, 3, 4, 9])
def test_equal_differences_are_as_uncertain_as_one_more_pair_without_any_makes_them(n):
    low, high = paired_mean_interval([0.1 + 0.2, *[0.3] * (n - 1)])
    half = stats.t.isf(0.025, n) * np.std([0.3] * n + [0.0], ddof=1) / (n + 1) ** 0.5
    assert (low, high) == pytest.approx((0.3 - half, 0.3 + half))
    assert paired_mean_interval([0.3] * (n + 1))[0] > low


def test_two_equal_differences_prove_nothing_and_three_do():
    # On 20 images a difference of one image in both of two seeds is likely by chance.
    low, high = paired_mean_interval([0.7 - 0.65, 0.8 - 0.75])
    assert (low, high) == pytest.approx((0.05 - 0.0717, 0.05 + 0.0717), abs=1e-4)
    assert paired_mean_interval([0.05] * 3)[0] > 0
    assert paired_mean_interval([0.0, 0.0]) == (0.0, 0.0)


def _pair(both: int, first: int, second: int, none: int):
    """Return which of two classifiers was right on each image, from how many of each kind."""
    a = np.repeat([True, True, False, False], [both, first, second, none])
    return a, np.repeat([True, False, True, False], [both, first, second, none])


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ((36, 12, 2, 0), (0.0569, 0.3404)),
        ((20, 12, 2, 16), (0.0562, 0.3292)),
        ((54, 0, 0, 0), (-0.0664, 0.0664)),
        ((0, 0, 0, 54), (-0.0664, 0.0664)),
    ],
)
def test_paired_proportions_as_published(table, expected):
    # Newcombe, Statistics in Medicine 1998, p. 2635, method 10.
    assert paired_proportion_interval(*_pair(*table)) == pytest.approx(expected, abs=5e-5)


@given(st.lists(st.integers(0, 60), min_size=4, max_size=4).filter(sum))
def test_paired_proportions_hold_their_difference_and_turn_with_it(table):
    a, b = _pair(*table)
    low, high = paired_proportion_interval(a, b)
    assert -1 <= low <= a.mean() - b.mean() + 1e-12
    assert a.mean() - b.mean() - 1e-12 <= high <= 1
    assert paired_proportion_interval(b, a) == pytest.approx((-high, -low), abs=1e-12)


def test_on_the_same_images_it_is_narrower_than_on_others():
    a, b = _pair(170, 12, 8, 10)
    low, high = paired_proportion_interval(a, b)
    wide = proportion_difference_interval(float(a.mean()), float(b.mean()), len(a))
    assert high - low < 0.9 * (wide[1] - wide[0])
