"""What folds are worth is found from graphs that were trained on several of them."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.searching.folds import estimate_fold_effects


def test_nothing_is_known_without_a_graph_on_two_folds():
    assert estimate_fold_effects([]) == {}
    assert estimate_fold_effects([(1, 0, 0.9), (2, 1, 0.1), (3, None, 0.5)]) == {}
    assert estimate_fold_effects([(1, 0, 0.9), (1, 0, 0.1)]) == {}


@given(st.integers(2, 5), st.integers(0, 10_000))
def test_many_graphs_tell_the_effects_whatever_they_themselves_are_worth(folds, seed):
    draw = random.Random(seed)
    worth = [draw.gauss(0, 0.05) for _ in range(folds)]
    mean = sum(worth) / folds
    own = [draw.random() for _ in range(60)]
    found = estimate_fold_effects(
        (graph, fold, own[graph] + worth[fold]) for graph in range(60) for fold in range(folds)
    )
    assert sum(found.values()) == pytest.approx(0, abs=1e-12)
    for fold in range(folds):  # 240 of 241 parts are believed
        assert found[fold] == pytest.approx((worth[fold] - mean) * 240 / 241, abs=1e-9)


def test_graphs_on_different_folds_are_linked_by_those_that_share_some():
    worth = {0: 0.1, 1: 0.0, 2: -0.1}
    pairs = [(graph, fold) for graph in range(40) for fold in ((0, 1), (1, 2))[graph % 2]]
    found = estimate_fold_effects((graph, fold, 0.5 + worth[fold]) for graph, fold in pairs)
    assert found == pytest.approx(worth, abs=0.012)
