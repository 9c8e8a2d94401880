import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.data.split import (
    TEST,
    VAL,
    corrupt_labels,
    count_per_class,
    deal_folds,
    hold_out,
    list_groups,
    pick_few_shot,
)

LABELS = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(
    lambda drawn: np.array(drawn + drawn + drawn)
)
# Of each image the number of its group: some 20 groups, of one class or several.
GROUPS = st.integers(0, 10**6).map(
    lambda seed: np.random.default_rng(seed).integers(0, 20, 240) * 7 + 3
)
SEEDS = st.integers(0, 2**32)


@given(LABELS, st.floats(0.01, 0.99), SEEDS)
def test_every_class_is_on_both_sides_in_about_the_share_asked_for(labels, fraction, seed):
    held = hold_out(labels, fraction, seed, VAL)
    for label in np.unique(labels):
        count, size = held[labels == label].sum(), (labels == label).sum()
        assert 1 <= count < size
        assert abs(count - fraction * size) <= 1


@given(LABELS, st.floats(0.01, 0.99), SEEDS)
def test_so_many_of_a_class_are_kept_for_later_splits(labels, fraction, seed):
    held = hold_out(labels, fraction, seed, TEST, keep=2)
    for label in np.unique(labels):
        assert held[labels == label].any()
        assert (~held[labels == label]).sum() >= 2


@given(LABELS, SEEDS)
def test_the_seed_alone_decides(labels, seed):
    np.testing.assert_array_equal(
        hold_out(labels, 0.4, seed, VAL), hold_out(labels, 0.4, seed, VAL)
    )


def test_seeds_and_streams_differ():
    labels = np.repeat([0, 1], 50)
    drawn = [
        hold_out(labels, 0.5, seed, stream).tobytes()
        for seed in (0, 1, 2)
        for stream in (TEST, VAL)
    ]
    assert len(set(drawn)) == 6


def test_held_out_places_are_uniform():
    labels = np.zeros(20, dtype=np.int64)
    often = sum(hold_out(labels, 0.25, seed, VAL).astype(int) for seed in range(800))
    # binomial(800, 1/4): mean 200, deviation 12.2
    assert np.abs(often - 200).max() < 5 * 12.3


@pytest.mark.slow
@given(LABELS, st.integers(1, 10), SEEDS)
def test_few_shot_keeps_so_many_of_each_or_all_and_is_nested(labels, most, seed):
    rows = pick_few_shot(labels, most, seed)
    assert (np.diff(rows) > 0).all()
    assert count_per_class(labels[rows], 6) == tuple(
        min(most, count) for count in count_per_class(labels, 6)
    )
    assert set(rows) <= set(pick_few_shot(labels, most + 1, seed))


def test_other_classes_do_not_move_a_class():
    few = pick_few_shot(np.array([0] * 10), 3, seed=5)
    np.testing.assert_array_equal(few, pick_few_shot(np.array([0] * 10 + [1] * 7), 3, seed=5)[:3])


@given(LABELS, st.integers(2, 7), SEEDS)
def test_folds_deal_every_class_and_the_whole_evenly(labels, folds, seed):
    dealt = deal_folds(labels, folds, seed)
    np.testing.assert_array_equal(dealt, deal_folds(labels, folds, seed))
    for part in (labels == label for label in [*np.unique(labels)]):
        assert np.ptp(np.bincount(dealt[part], minlength=folds)) <= 1
        assert len(set(dealt[part])) > 1  # so no fold holds out a whole class
    assert np.ptp(np.bincount(dealt, minlength=folds)) <= 1


@given(st.integers(2, 12), st.floats(0, 0.99), st.integers(0, 5))
def test_wrong_labels_are_other_classes_and_nested(classes: int, share: float, seed: int):
    labels = np.arange(200) % classes
    noisy = corrupt_labels(labels, classes, share, seed)
    assert set(noisy) <= set(range(classes))
    more = corrupt_labels(labels, classes, min(0.99, share + 0.2), seed)
    wrong = noisy != labels
    np.testing.assert_array_equal(more[wrong], noisy[wrong])
    assert abs(wrong.mean() - share) < 0.2


def test_the_share_of_wrong_labels_is_right_and_all_other_classes_are_as_likely():
    noisy = corrupt_labels(np.zeros(90_000, np.int64), 4, 0.3, 1)
    np.testing.assert_allclose(np.bincount(noisy) / 90_000, [0.7, 0.1, 0.1, 0.1], atol=0.01)
    np.testing.assert_array_equal(corrupt_labels(np.arange(9) % 3, 3, 0.0, 1), np.arange(9) % 3)


@given(LABELS, st.floats(0.01, 0.99), SEEDS)
def test_groups_of_one_image_are_no_groups(labels, fraction, seed):
    alone = np.arange(len(labels)) * 2
    np.testing.assert_array_equal(
        hold_out(labels, fraction, seed, VAL, alone), hold_out(labels, fraction, seed, VAL)
    )
    folds = 2 + seed % 4
    np.testing.assert_array_equal(
        deal_folds(labels, folds, seed, alone), deal_folds(labels, folds, seed)
    )


@given(LABELS, GROUPS, st.floats(0.05, 0.5), SEEDS)
def test_a_split_cuts_no_group_and_leaves_each_class_some(labels, groups, fraction, seed):
    groups = groups[: len(labels)]
    held = hold_out(labels, fraction, seed, VAL, groups)
    for group in np.unique(groups):
        assert len(set(held[groups == group])) == 1
    owner, main = list_groups(labels, groups)
    for label in np.unique(main):
        own = main[owner] == label
        sizes = np.bincount(owner[own])
        assert 0 < held[own].sum() < own.sum() or len(set(owner[own])) == 1
        if len(set(owner[own])) > 2:
            # What is missing to the share is at most a group, or the only one that is left.
            assert abs(held[own].sum() - max(1, fraction * own.sum())) <= sizes.max() + 1


@given(LABELS, GROUPS, st.integers(2, 5), SEEDS)
def test_folds_cut_no_group_and_are_about_even(labels, groups, folds, seed):
    groups = groups[: len(labels)]
    dealt = deal_folds(labels, folds, seed, groups)
    for group in np.unique(groups):
        assert len(set(dealt[groups == group])) == 1
    owner, main = list_groups(labels, groups)
    for label in np.unique(main):
        own = main[owner] == label
        assert np.ptp(np.bincount(dealt[own], minlength=folds)) <= np.bincount(owner[own]).max()


def test_a_group_is_of_its_commonest_class():
    owner, main = list_groups(np.array([2, 0, 2, 1, 0, 1]), np.array([9, 4, 9, 9, 4, 7]))
    assert owner.tolist() == [2, 0, 2, 2, 0, 1]
    assert main.tolist() == [0, 1, 2]
