"""Schedules against torch's own, and their limits."""

from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ktg.graph.vocabulary import ScheduleName
from ktg.training.schedule import SCHEDULES, Clock, Schedule

where = st.floats(0, 1, exclude_max=True)


def test_the_clock_reaches_1_for_gates_at_the_last_step_and_never_for_schedules():
    clocks = [Clock(step, total=7) for step in range(7)]
    assert (clocks[0].progress, clocks[-1].progress) == (0, 1)
    assert [clock.where for clock in clocks] == [step / 7 for step in range(7)]
    assert (Clock(0, total=1).progress, Clock(0, total=1).where) == (0, 0)


def test_every_schedule_name_has_a_function_and_no_other():
    assert set(SCHEDULES) == set(get_args(ScheduleName))


@pytest.mark.parametrize("name", SCHEDULES)
@given(where=where, warmup=st.floats(0, 0.9))
def test_factors_lie_between_0_and_1(name, where, warmup):
    assert 0 <= Schedule(name, warmup=warmup, milestones=[0.3, 0.6])(where) <= 1


@given(where=where)
def test_constant_without_warmup_is_1(where):
    assert Schedule("constant")(where) == 1


def reference(schedule: torch.optim.lr_scheduler.LRScheduler, steps: int) -> list[float]:
    factors = []
    for _ in range(steps):
        factors.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return factors


def test_cosine_and_step_equal_torch_step_by_step():
    weights = [torch.zeros(1, requires_grad=True)]
    torch_cosine = torch.optim.lr_scheduler.CosineAnnealingLR(
        torch.optim.SGD(weights, lr=1.0), T_max=20
    )
    torch_step = torch.optim.lr_scheduler.MultiStepLR(
        torch.optim.SGD(weights, lr=1.0), [6, 12, 18], gamma=0.1
    )
    for schedule, torch_schedule in [
        (Schedule("cosine"), torch_cosine),
        (Schedule("step", milestones=[6 / 20, 12 / 20, 18 / 20], step_factor=0.1), torch_step),
    ]:
        ours = [schedule(step / 20) for step in range(20)]
        assert ours == pytest.approx(reference(torch_schedule, 20))


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_warmup_rises_linearly_from_0_and_meets_the_schedule_at_its_peak(name):
    schedule = Schedule(name, warmup=0.2)
    assert [schedule(w) for w in (0.0, 0.05, 0.1)] == pytest.approx([0, 0.25, 0.5])
    assert schedule(0.2) == 1
    assert schedule(0.2 - 1e-9) == pytest.approx(1)
