"""Identities of the gates."""

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktg.graph.spec import GateName
from ktg.training.gates import GATES

batches = st.lists(st.booleans(), min_size=1, max_size=8).map(torch.tensor)
moments = st.floats(0, 1)


def test_every_gate_name_has_a_function_and_no_other():
    assert set(GATES) == set(get_args(GateName))


@given(batches, moments)
def test_weights_lie_between_0_and_1_one_per_sample(right, progress):
    for gate in GATES.values():
        weight = gate(right, progress)
        assert weight.shape == right.shape
        assert weight.dtype == torch.float32
        assert ((weight >= 0) & (weight <= 1)).all()


@given(batches, moments)
def test_through_and_cutoff_and_linear_and_inverse_are_complements(right, progress):
    ones = torch.ones(right.shape, dtype=torch.float64)
    for one, other in [("through", "cutoff"), ("linear", "inverse")]:
        total = GATES[one](right, progress, torch.float64) + GATES[other](
            right, progress, torch.float64
        )
        torch.testing.assert_close(total, ones)


@pytest.mark.parametrize(("progress", "weight"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_linear_is_the_progress_exactly(progress, weight):
    assert GATES["linear"](torch.tensor([True, False]), progress).tolist() == [weight, weight]


@given(batches, moments)
def test_correct_lets_through_exactly_the_samples_the_source_has_right(right, progress):
    assert GATES["correct"](right, progress).bool().tolist() == right.tolist()
