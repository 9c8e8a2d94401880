"""Whom ASHA stops: at the rungs, by those that were there before, and never a baseline."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.graph import Search, parse
from ktg.searching.asha import (
    Brackets,
    choose_bracket,
    compute_cutoff,
    compute_shares,
    correlate_ranks,
    describe_stopping,
    plan_brackets,
    should_stop,
)
from ktg.searching.trial import Trial
from ktg.searching.trials import TrialQueue

STOP, CONTINUE = True, False
GRAPH = parse(
    {
        "data": {"name": "digits"},
        "train": {"epochs": 8},
        "nodes": {"n0": {"model": "resnet8"}},
        "edges": {"label -> n0": {}},
    }
)
ACCURACIES = st.floats(0, 1)


class Race(TrialQueue):
    """Trials of given accuracies that report in turn, with rungs at 1, 2 and 4 of 8 epochs."""

    def __init__(self, **search) -> None:
        super().__init__(planned=1000)
        self.brackets = plan_brackets(Search(**{"scheduler": "asha"} | search), 8)

    def enter(self, baseline: str | None = None, **known) -> Trial:
        number = len(self.trials) + 1
        trial = Trial(number, GRAPH, str(number), baseline=baseline, **known)
        trial.bracket = choose_bracket(self.brackets, self.trials)
        self.trials.append(trial)
        return trial

    def report(self, trial: Trial, epoch: int, accuracy: float) -> bool:
        stop = should_stop(self.brackets, self.trials, trial, epoch, accuracy)
        self.record_epoch(trial, epoch, {"val_accuracy": accuracy, "val_loss": 1.0}, 1.0)
        if stop:
            trial.rung = epoch
            self.close(trial)
        return stop


@pytest.mark.parametrize(
    ("settings", "epochs"), [({}, 8), ({"scheduler": "asha", "grace_epochs": 8}, 8)]
)
def test_asha_is_off_where_it_could_stop_nothing(settings, epochs):
    assert plan_brackets(Search(**settings), epochs) is None


@pytest.mark.parametrize(
    ("factor", "grace", "epochs", "rungs"),
    [
        (2, 1, 8, (1, 2, 4)),
        (2, 1, 9, (1, 2, 4, 8)),
        (4, 2, 40, (2, 8, 32)),
        (10, 1, 1000, (1, 10, 100)),
        (1.5, 1, 9, (1, 2, 3, 4, 6, 8)),
        (1.1, 1, 4, (1, 2, 3)),
    ],
)
def test_rungs_are_powers_of_the_factor_before_the_last_epoch(factor, grace, epochs, rungs):
    search = Search(scheduler="asha", reduction_factor=factor, grace_epochs=grace)
    assert plan_brackets(search, epochs) == Brackets((rungs,), factor)


def test_brackets_of_hyperband_begin_one_rung_later_each():
    brackets = plan_brackets(Search(scheduler="hyperband"), 8)
    assert brackets.rungs == ((1, 2, 4), (2, 4), (4,))


def test_the_poor_half_is_stopped_at_the_first_rung():
    race = Race()
    accuracies = (0.9, 0.8, 0.7, 0.6, 0.95)
    decisions = {accuracy: race.report(race.enter(), 1, accuracy) for accuracy in accuracies}
    assert decisions == {0.9: CONTINUE, 0.8: STOP, 0.7: STOP, 0.6: STOP, 0.95: CONTINUE}


def test_between_rungs_nobody_is_stopped():
    race = Race()
    good, poor = race.enter(), race.enter()
    assert race.report(poor, 1, 0.1) == CONTINUE  # the first to arrive
    race.report(good, 1, 0.9)
    race.report(good, 2, 0.9)
    assert race.report(poor, 2, 0.1) == STOP
    fresh = race.enter()
    race.report(fresh, 1, 0.95)
    race.report(fresh, 2, 0.95)
    assert race.report(fresh, 3, 0.0) == CONTINUE


def test_a_trial_that_resumes_after_a_rung_is_not_held_against_it():
    """Its epoch 3 would be compared with what others had at epoch 2."""
    race = Race()
    race.report(race.enter(), 2, 0.5)
    resumed = race.enter(epoch=2)
    assert race.report(resumed, 3, 0.1) == CONTINUE
    assert race.report(race.enter(), 1, 0.0) == CONTINUE  # it did not enter the rungs it had passed
    race.report(resumed, 4, 0.9)
    assert race.report(race.enter(), 4, 0.8) == STOP


def test_an_epoch_that_is_trained_again_is_not_judged_again():
    race = Race()
    first = race.enter()
    assert race.report(first, 1, 0.1) == CONTINUE
    race.report(race.enter(), 1, 0.9)
    assert race.report(first, 1, 0.1) == CONTINUE


@pytest.mark.parametrize("scheduler", ["asha", "hyperband"])
def test_trials_of_an_earlier_process_count_in_the_rungs_of_all_brackets(scheduler):
    race = Race(scheduler=scheduler)
    accuracies = {epoch: epoch / 10 for epoch in range(1, 9)}
    states = {"finished": accuracies, "failed": {1: 0.9, 4: 0.9}, "running": {1: 0.9, 4: 0.9}}
    for state, known in states.items():
        race.trials.append(Trial(0, GRAPH, state, state=state, scores=known))
    for bracket, rungs in enumerate(race.brackets.rungs):
        for rung in rungs:
            trial = race.enter()
            trial.bracket = bracket
            decide = [
                should_stop(race.brackets, race.trials, trial, rung, rung / 10 + more)
                for more in (-0.01, 0.0)
            ]
            assert decide == [STOP, CONTINUE]


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "auto"])
def test_trials_of_another_length_are_not_judged_beside_each_other(scheduler):
    """Near its end a short one is ahead of a long one that will be better."""
    race = Race(scheduler=scheduler)
    longer = replace(GRAPH, train=replace(GRAPH.train, epochs=16))
    for _ in range(20):
        short = race.enter()
        for epoch in range(1, 9):
            race.record_epoch(short, epoch, {"val_accuracy": 0.9 + short.number / 1000}, 1.0)
        race.close(short)
    for graph, decision in ((longer, CONTINUE), (GRAPH, STOP)):
        trial = replace(race.enter(), graph=graph, number=21, bracket=0)
        assert should_stop(race.brackets, race.trials, trial, 4, 0.1) == decision


def test_a_baseline_is_never_stopped_but_counts():
    race = Race()
    assert race.report(race.enter(), 1, 0.9) == CONTINUE
    baseline = race.enter("alone")
    assert [race.report(baseline, epoch, 0.5) for epoch in range(1, 9)] == 8 * [CONTINUE]
    for _ in range(3):  # were the baseline not counted, 0.6 would be the worst so far
        race.report(race.enter("mutual learning"), 1, 0.3)
    assert race.report(race.enter(), 1, 0.6) == CONTINUE


def test_a_trial_that_failed_after_a_rung_counts_in_it_and_one_that_failed_before_does_not():
    race = Race()
    race.close(race.enter(), "nan")
    later = race.enter()
    assert race.report(later, 1, 0.2) == CONTINUE
    race.close(later, "nan")
    assert race.report(race.enter(), 1, 0.1) == STOP


@given(st.lists(ACCURACIES, min_size=1, max_size=30), st.sampled_from([1.5, 2, 3, 4]), ACCURACIES)
def test_the_cutoff_is_that_of_numpy_and_leaves_one_in_so_many_above(accuracies, factor, more):
    cutoff = compute_cutoff(accuracies, factor)
    assert cutoff == np.nanpercentile(accuracies, (1 - 1 / factor) * 100)
    assert min(accuracies) <= cutoff <= max(accuracies)
    assert sum(each >= cutoff for each in accuracies) >= math.floor(len(accuracies) / factor)
    # Who is at least as good as everybody goes on, whoever comes next.
    assert compute_cutoff([*accuracies, more], factor) <= max([*accuracies, more])


@given(st.permutations(list(range(12))), st.integers(1, 8))
def test_what_is_decided_does_not_depend_on_the_order_of_those_before(order, epoch):
    race = Race()
    race.trials = [
        Trial(i, GRAPH, str(i), bracket=0, scores={epoch: (i * 7 % 12) / 12}) for i in order
    ]
    trial = race.enter()
    decisions = [should_stop(race.brackets, race.trials, trial, epoch, i / 12) for i in range(12)]
    at_rung = epoch in race.brackets.rungs[0]
    assert decisions == [at_rung and i < 6 for i in range(12)]  # the median is 5.5 / 12


@pytest.mark.parametrize("closed", [True, False])
def test_each_bracket_gets_its_share_and_the_same_one_every_time(closed):
    race = Race(scheduler="hyperband")
    chosen = []
    for _ in range(300):
        trial = race.enter()
        chosen.append(trial.bracket)
        if closed:
            race.close(trial)
    for bracket, share in enumerate(compute_shares(3, 2)):
        assert abs(chosen.count(bracket) - 300 * share) <= 1
    assert sum(compute_shares(5, 3)) == pytest.approx(1)
    assert compute_shares(3, 2) == pytest.approx([6 / 13, 4 / 13, 3 / 13])


def test_what_was_stopped_and_saved_is_told_with_the_ranks_of_those_spared():
    race = Race(scheduler="auto", grace_epochs=4)
    chance = np.random.default_rng(0)
    for worth in chance.random(60).tolist():
        trial = race.enter()
        for epoch in range(1, 9):
            if race.report(trial, epoch, 0.5 + worth / 2 if epoch >= 4 else chance.random()):
                break
        else:
            race.close(trial)
    race.close(late := race.enter())  # out of time
    late.state = "stopped"
    stopped = [one for one in race.trials if one.rung == 4]
    assert len(stopped) > 10
    said = describe_stopping(Search(scheduler="auto", grace_epochs=4), race.trials)
    begins = f"auto stopped {len(stopped)} of 61 trials ({len(stopped)} after epoch 4), which saved"
    assert said.startswith(f"{begins} {4 * len(stopped)} epochs and ")
    assert said.endswith("correlation 1.00 (95 % 1.00 to 1.00) of 12 spared trials.")
    assert all(one.number % 5 for one in stopped)


def test_a_scheduler_that_stopped_nothing_says_so_and_none_says_nothing():
    race = Race()
    assert describe_stopping(Search(), race.trials) is None
    assert describe_stopping(Search(scheduler="asha"), []) == "asha stopped 0 of 0 trials."
    few = describe_stopping(Search(scheduler="auto"), [_finished(race) for _ in range(5)])
    assert few.startswith("auto stopped 0 of 5 trials. Ranks after epoch 1 and at the end: unknown")


def _finished(race: Race) -> Trial:
    trial = race.enter()
    for epoch in range(1, 9):
        race.report(trial, epoch, 0.5)
    race.close(trial)
    return trial


def test_an_epoch_that_was_saved_is_as_long_as_the_last_and_not_as_a_teacher_took():
    trial = Trial(1, GRAPH, "a", state="stopped", epoch=2, train_s=102.0, rung=2)
    trial.metrics = {"epoch_s": 1.0}
    assert trial.saved_s == 6.0
    trial.rung = None
    assert trial.saved_s == 0.0


@given(st.integers(9, 40), st.integers(0, 1000))
def test_ranks_correlate_within_their_interval(n, seed):
    drawn = np.random.default_rng(seed).random((n, 2)).tolist()
    value, (low, high) = correlate_ranks(drawn)
    assert -1 <= low < value < high <= 1
    again, ends = correlate_ranks([(a, -b) for a, b in drawn])
    assert (again, *ends) == pytest.approx((-value, -high, -low))


def test_that_folds_differ_proves_nothing_of_ranks():
    chance, race = np.random.default_rng(0), Race(scheduler="auto", grace_epochs=4)
    effects = {fold: 0.1 * (fold - 2) for fold in range(5)}
    for number in range(60):
        trial = race.enter(fold=number // 5 % 5, folds=5)
        for epoch in range(1, 9):
            race.record_epoch(
                trial,
                epoch,
                {"val_accuracy": 0.5 + effects[trial.fold] + chance.normal(0, 0.01)},
                1.0,
            )
        race.close(trial)
    hopeless = (race.brackets, race.trials, race.enter(fold=0, folds=5), 4, 0.0)
    assert should_stop(*hopeless)
    assert not should_stop(*hopeless, effects)
    search = Search(scheduler="auto", grace_epochs=4)
    assert "correlation 0.9" in describe_stopping(search, race.trials)
    assert "correlation 0.9" not in describe_stopping(search, race.trials, effects)
