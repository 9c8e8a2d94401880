"""One pass in any chunking gives what a look at everything at once gives."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktg.affinity.moments import Moments


def whole(features, labels, classes):
    return Moments(classes).update(features, labels)


def figures(moments):
    return [moments.s1(), moments.s2(), moments.s5(), moments.mean_square()]


@given(
    seed=st.integers(0, 999),
    cuts=st.lists(st.integers(0, 24), max_size=6),
    offset=st.sampled_from([0.0, 1e4]),
)
def test_streaming_equals_one_shot_in_any_chunking(seed, cuts, offset):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(24, 2, 3, 1, generator=generator, dtype=torch.float64) + offset
    labels = torch.randint(0, 4, (24,), generator=generator)
    streamed = Moments(4)
    edges = [0, *sorted(cuts), 24]
    for start, end in itertools.pairwise(edges):
        streamed.update(features[start:end], labels[start:end])
    assert figures(streamed) == pytest.approx(figures(whole(features, labels, 4)), rel=1e-9)


def test_merging_is_associative_and_an_empty_part_changes_nothing():
    features, labels = (
        torch.randn(9, 5, generator=torch.Generator().manual_seed(1)),
        torch.arange(9) % 3,
    )
    parts = [whole(features[i : i + 3], labels[i : i + 3], 3) for i in (0, 3, 6)]
    late = Moments(3).merge(parts[0]).merge(Moments(3).merge(parts[1]).merge(parts[2]))
    assert figures(late.merge(Moments(3))) == pytest.approx(figures(whole(features, labels, 3)))


def test_a_large_mean_costs_no_digits():
    """The sums of squares agree in all 16 digits of a float64: their difference says nothing."""
    small = torch.tensor([[0.0], [1.0], [0.0], [1.0]], dtype=torch.float64)
    moments = whole(small + 1e8, torch.tensor([0, 0, 1, 1]), 2)
    assert [moments.s1(), moments.s2(), moments.s5()] == [0.25, 0.0, 0.5]


def test_definitions_on_numbers_one_can_check_by_hand():
    moments = whole(torch.tensor([[0.0, 1.0], [2.0, 1.0], [4.0, 1.0]]), torch.tensor([0, 0, 1]), 3)
    assert moments.s1() == pytest.approx(8 / 3)
    assert moments.s2() == pytest.approx(
        2.25
    )  # means 1 and 4; the third class has no image and does not count
    assert moments.s5() == pytest.approx(1.0)
    assert moments.mean_square() == pytest.approx(23 / 6)
