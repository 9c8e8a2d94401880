"""Identities of the gates."""

import math
from dataclasses import dataclass
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktg.graph.vocabulary import GateName
from ktg.training.gates import GATES, RAMP, agree, disagree, small_loss


@dataclass
class Seen:
    """What gates look at, all of it given."""

    right: torch.Tensor
    peer_loss: torch.Tensor | None = None
    same: torch.Tensor | None = None
    noise: float = 0.25


batches = st.lists(st.booleans(), min_size=1, max_size=8).map(torch.tensor)
moments = st.floats(0, 1)
losses = st.lists(st.floats(0, 50, width=32), min_size=1, max_size=12, unique=True)
rates = st.floats(0, 0.99)


def weigh(name, right, progress, dtype=torch.float32):
    return GATES[name](Seen(right), progress, dtype)


def test_every_gate_name_has_a_function_and_no_other():
    assert set(GATES) == set(get_args(GateName))


@given(batches, moments, rates, st.randoms(use_true_random=False))
def test_weights_lie_between_0_and_1_one_per_sample(right, progress, noise, random):
    loss = torch.tensor([random.random() for _ in right])
    seen = Seen(right, loss, ~right, noise)
    for gate in GATES.values():
        weight = gate(seen, progress, torch.float64)
        assert weight.shape == right.shape
        assert weight.dtype == torch.float64
        assert ((weight >= 0) & (weight <= 1)).all()


@given(batches, moments)
def test_through_and_cutoff_and_linear_and_inverse_are_complements(right, progress):
    ones = torch.ones(right.shape, dtype=torch.float64)
    for one, other in [("through", "cutoff"), ("linear", "inverse")]:
        total = weigh(one, right, progress, torch.float64)
        total = total + weigh(other, right, progress, torch.float64)
        torch.testing.assert_close(total, ones)


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_linear_is_the_progress_exactly(progress, weight):
    assert weigh("linear", torch.tensor([True, False]), progress).tolist() == [weight, weight]


@given(batches, moments)
def test_correct_lets_through_exactly_the_samples_the_source_has_right(right, progress):
    assert weigh("correct", right, progress).bool().tolist() == right.tolist()


@given(batches, moments)
def test_agree_and_disagree_are_complements_and_know_no_time(same, progress):
    assert agree(same, progress).bool().tolist() == same.tolist()
    assert (agree(same, progress) + disagree(same, progress)).tolist() == [1.0] * len(same)


@given(losses, moments, rates)
def test_small_loss_keeps_its_share_of_the_smallest(values, progress, noise):
    loss = torch.tensor(values)
    kept = small_loss(loss, progress, noise).bool()
    share = 1 - noise * min(progress / RAMP, 1)
    assert int(kept.sum()) == max(1, math.ceil(share * len(values) - 1e-9))
    if not kept.all():
        assert loss[kept].max() < loss[~kept].min()


@given(losses, rates)
def test_small_loss_begins_with_everything_and_never_lets_through_more_than_before(values, noise):
    loss = torch.tensor(values)
    assert small_loss(loss, 0.0, noise).tolist() == [1.0] * len(values)
    before = torch.ones(len(values))
    for step in range(11):
        now = small_loss(loss, step / 10, noise)
        assert (now <= before).all()
        before = now
    assert torch.equal(before, small_loss(loss, RAMP, noise))


@given(losses, moments)
def test_without_noise_small_loss_is_through(values, progress):
    assert small_loss(torch.tensor(values), progress, 0.0).tolist() == [1.0] * len(values)
