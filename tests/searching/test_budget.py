"""What fits into a budget, by what was measured."""

from dataclasses import replace

import pytest

from ktg.graph import parse
from ktg.graph.canonical import with_seed
from ktg.searching.baselines import distilled_ensemble
from ktg.searching.budget import (
    Reserve,
    Timetable,
    estimate_seconds,
    measure_repeat,
    needs_new_teachers,
)
from ktg.searching.trial import Trial
from ktg.searching.trials import TrialQueue


def graph(epochs: int, networks: int = 1):
    return parse(
        {
            "data": {"name": "digits"},
            "train": {"epochs": epochs, "lr": 0.1},
            "nodes": {f"n{i}": {"model": "resnet8"} for i in range(networks)},
            "edges": {"label -> any": {}, "any -> n0": {}},
        }
    )


def trial(seconds: float, epochs: int = 1, networks: int = 1) -> Trial:
    return Trial(1, graph(9, networks), "key", epoch=epochs, train_s=seconds)


def test_nothing_is_known_before_an_epoch_is_over():
    assert estimate_seconds(graph(4), []) is None
    assert estimate_seconds(graph(4), [replace(trial(0.0), epoch=0)]) is None


def test_the_median_of_seconds_per_epoch_counts():
    known = [trial(2.0), trial(30.0, epochs=10), trial(100.0)]
    assert estimate_seconds(graph(4), known) == 12.0


def test_graphs_with_as_many_networks_count_before_others():
    known = [trial(1.0), trial(7.0, networks=3)]
    assert estimate_seconds(graph(2, 3), known) == 14.0
    assert estimate_seconds(graph(2, 2), known) == 8.0  # of all, where none is alike


def test_an_epoch_is_as_long_as_its_share_of_the_steps():
    def stepped(steps: int | None, epochs: int = 4):
        one = graph(epochs)
        return replace(one, train=replace(one.train, steps=steps))

    known = [replace(trial(6.0), graph=stepped(100))]  # 25 steps an epoch
    assert estimate_seconds(stepped(300), known) == 4 * 18.0
    assert estimate_seconds(stepped(100, epochs=2), known) == 2 * 12.0
    assert estimate_seconds(stepped(None), known) == 4 * 6.0


@pytest.mark.parametrize(
    ("reserve", "left"), [(Reserve(), 0), (Reserve(1.5), 30), (Reserve(1.5, 5.0), 35)]
)
def test_a_reserve_is_counted_in_trainings_of_the_best_graph(reserve, left):
    assert reserve.needed_s(20.0) == left


def sized(size: int | None) -> Trial:
    one = graph(9)
    node = replace(one.nodes["n0"], input_size=size)
    return replace(trial(float(size or 64)), graph=replace(one, nodes={"n0": node}))


def test_graphs_that_see_images_of_the_same_size_count_before_others():
    known = [sized(32), sized(64), sized(96)]
    for size in (32, 64, 96):
        assert estimate_seconds(sized(size).graph, known) == 9 * size


def test_larger_images_take_longer_in_proportion_to_their_area():
    known = [sized(32), sized(64), sized(96)]
    assert estimate_seconds(sized(128).graph, known) == 9 * 64 * (128 / 64) ** 2
    assert estimate_seconds(sized(None).graph, known) == 9 * 64  # nobody knows its size


def taught(seconds: list[float]) -> Trial:
    one = parse(
        {
            "data": {"name": "digits"},
            "train": {"epochs": len(seconds), "lr": 0.1},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet14"}},
            "edges": {"label -> n0": {}, "n1 -> n0": {}},
        }
    )
    times = {"train_s": sum(seconds), "epoch_times": seconds}
    return replace(trial(0.0), graph=one, epoch=len(seconds), **times)


def test_what_a_teacher_took_to_be_made_counts_for_graphs_that_have_one_and_once():
    paid, later = taught([52.0, 2.0, 2.0]), taught([2.0, 2.0, 2.0])
    alone = trial(30.0, epochs=10)
    assert (paid.repeat_s, later.repeat_s, alone.repeat_s) == (6.0, 6.0, 30.0)
    trials = [paid, later, alone]
    assert measure_repeat(later, trials) == measure_repeat(paid, trials) == 56.0
    assert measure_repeat(later, [later, alone], teachers_s=40.0) == 46.0  # kept from before
    assert measure_repeat(alone, trials, teachers_s=40.0) == 30.0
    assert measure_repeat(taught([52.0, 2.0]), []) == 4.0  # two epochs, of which one was long


def test_an_ensemble_of_teachers_takes_as_long_for_each_copy_and_lengthens_nothing_else():
    paid = taught([52.0, 2.0, 2.0])
    # Two copies were made for it, and one was there; with a new seed it makes all three.
    ensemble = replace(taught([103.0, 3.0, 3.0]), graph=distilled_ensemble(paid.graph))
    raced = replace(taught([153.0, 3.0, 3.0]), graph=with_seed(ensemble.graph, 101), race_of=2)
    trials = [paid, ensemble, raced]
    assert measure_repeat(paid, trials) == 56.0
    assert measure_repeat(ensemble, trials) == measure_repeat(raced, [raced]) == 9.0 + 3 * 50.0
    queue = TrialQueue(None)
    queue.trials = trials
    time = Timetable(queue, 1000, Reserve())
    assert time.copy_s == 50.0
    assert time.fits(with_seed(paid.graph, 7), 56.0)
    assert not time.fits(with_seed(ensemble.graph, 7), 158.0)
    assert time.fits(with_seed(ensemble.graph, 7), 159.0)


def test_time_is_kept_for_all_copies_of_the_teachers_of_whoever_may_win():
    paid = replace(taught([60.0, 10.0, 10.0]), state="finished")
    copied = replace(taught([109.0, 9.0, 9.0]), graph=distilled_ensemble(paid.graph), number=2)
    queue = TrialQueue(None)
    queue.trials = [paid, replace(copied, state="finished")]
    assert Timetable(queue, 1000, Reserve(1.0)).end_s == 1000 - (27.0 + 3 * 50.0)


def test_a_trial_without_seconds_says_nothing_of_the_others():
    unknown = replace(trial(0.0), epoch=3)
    assert unknown.epoch_s is None
    assert estimate_seconds(graph(4), [unknown]) is None
    assert estimate_seconds(graph(4), [unknown, trial(2.0)]) == 8.0


def test_an_epoch_that_is_trained_again_is_no_teacher_that_was_made():
    again = replace(taught([2.0, 2.0, 2.0]), epoch_times=[2.0] * 5, train_s=10.0)
    assert measure_repeat(again, [again]) == 6.0


@pytest.mark.parametrize(
    ("changed", "makes"),
    [
        ({}, False),
        ({"seed": 7}, True),
        ({"lr": 0.03}, True),
        ({"epochs": 6}, True),
        ({"aggregate": "mean"}, False),  # of which a teacher knows nothing
    ],
)
def test_a_graph_fits_with_the_teachers_that_are_made_for_it(changed, makes):
    paid = taught([52.0, 2.0, 2.0])
    other = replace(paid.graph, train=replace(paid.graph.train, **changed))
    queue = TrialQueue(None)
    queue.trials = [paid, trial(30.0, epochs=10)]
    assert needs_new_teachers(other, queue.trials) == makes
    needed_s = 2.0 * other.train.epochs + (50.0 if makes else 0.0)
    for reserve, more_s in ((Reserve(), 0.0), (Reserve(teachers_s=80.0), 30.0 if makes else 0.0)):
        time = Timetable(queue, 1000, reserve)
        queue.advance(500)
        assert time.fits(other, 500 + needed_s + more_s)
        assert not time.fits(other, 499 + needed_s + more_s)


def test_a_teacher_is_known_once_a_trial_has_begun_to_make_it_and_not_where_that_failed():
    paid = taught([52.0, 2.0])
    other = with_seed(paid.graph, 7)
    begun = Trial(2, other, "other")
    assert not needs_new_teachers(other, [paid, begun])
    assert needs_new_teachers(other, [paid, replace(begun, state="failed")])
    assert needs_new_teachers(paid.graph, [replace(paid, folds=3, fold=1)])  # on other images
    assert not needs_new_teachers(graph(9), [])
