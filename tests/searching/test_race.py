"""The race: who takes part, who is out, and that the winner is not the luckiest."""

import random
import statistics
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.searching.race import (
    FEWEST_ROUNDS,
    Contestant,
    choose_next,
    choose_starters,
    compare,
    find_dropped,
    gather,
    measure_spread,
    pair,
    rank,
    shrink,
)
from ktg.searching.trial import TUNED_ALONE


def one(number: int, score: float, *more: float, **known) -> Contestant:
    return Contestant(number, score, 1.0, dict(enumerate(more, 101)), cost_s=1.0, **known)


def numbers(found) -> list[int]:
    return [each.number for each in found]


def test_without_a_race_the_best_score_wins_then_the_lower_loss_then_the_lower_number():
    graphs = [
        Contestant(1, 0.8),  # its loss is missing: the worst of equals
        Contestant(5, 0.8, 0.5),
        Contestant(4, 0.8, 0.2),
        Contestant(3, 0.8, 0.2),
        Contestant(2, 0.9, 9.0),
    ]
    assert numbers(rank(graphs)) == [2, 3, 4, 5, 1]


def test_new_seeds_alone_decide_and_who_has_none_comes_after():
    lucky, steady, idle = one(1, 0.99, 0.7, 0.7), one(2, 0.9, 0.8, 0.8), one(3, 0.98)
    assert numbers(rank([lucky, steady, idle])) == [2, 1, 3]


def test_who_ran_much_less_than_others_cannot_win():
    assert numbers(rank([one(1, 0.9, 0.9), one(2, 0.9, 0.8, 0.8, 0.8)])) == [2, 1]
    assert numbers(rank([one(1, 0.9, 0.9, 0.9), one(2, 0.9, 0.8, 0.8, 0.8)])) == [1, 2]


def test_an_exact_graph_competes_by_its_one_score():
    probe = one(1, 0.85, is_exact=True)
    assert numbers(rank([one(2, 0.95, 0.8, 0.8), probe])) == [1, 2]
    assert numbers(rank([one(2, 0.95, 0.9, 0.9), probe])) == [2, 1]
    assert pair(one(2, 0.95, 0.8, 0.9), probe) == pytest.approx([-0.05, 0.05])


def test_starters_are_as_many_as_the_time_is_for_and_one_is_a_rival():
    graphs = [one(number, 1 - number / 100) for number in range(1, 8)]
    rivals = [one(number, 0.5 + number / 100, is_rival=True) for number in range(8, 11)]
    probe = one(11, 0.99, is_exact=True)
    everyone = [*graphs, *rivals, probe]
    assert numbers(choose_starters(everyone, 1e9)) == [1, 2, 3, 4, 10, 9, 8]
    assert numbers(choose_starters(everyone, 0.0)) == [1, 10]
    assert numbers(choose_starters(everyone, FEWEST_ROUNDS * 3.5)) == [1, 2, 10]
    assert numbers(choose_starters(graphs, 0.0)) == [1, 2]
    assert numbers(choose_starters([probe], 1e9)) == []


def test_who_has_begun_stays():
    graphs = [one(number, 1 - number / 100) for number in range(1, 6)]
    assert numbers(choose_starters([*graphs, one(9, 0.1, 0.5)], 0.0)) == [1, 2, 9]


def test_only_what_is_proven_worse_is_out():
    leader, near, far = one(1, 0.9, 0.90, 0.92, 0.91), one(2, 0.9, 0.89, 0.93, 0.90), None
    far = one(3, 0.9, 0.50, 0.52, 0.51)
    assert find_dropped([leader, near, far]) == {3}
    assert find_dropped([one(1, 0.9, 0.9), one(2, 0.9, 0.1)]) == set()  # one seed proves nothing


def test_rounds_give_all_the_same_seeds_until_one_is_left():
    graphs = [one(1, 0.9), one(2, 0.8), one(3, 0.7)]
    begun: dict[int, set[int]] = {}
    order = []
    for _ in range(6):
        chosen, seed = choose_next(graphs, begun, 101)
        begun.setdefault(chosen.number, set()).add(seed)
        order.append((chosen.number, seed))
    assert order == [(1, 101), (2, 101), (3, 101), (1, 102), (2, 102), (3, 102)]
    assert choose_next([one(1, 0.9), *[]], {}, 101) is None
    assert choose_next([one(1, 0.9, 0.9, 0.9), one(2, 0.8, 0.1, 0.1)], {}, 101) is None


def test_the_interval_is_of_the_seeds_of_both():
    a, b = one(1, 0.9, 0.9, 0.8, 0.7), one(2, 0.9, 0.8, 0.8)
    assert pair(a, b) == pytest.approx([0.1, 0.0])
    low, high = compare(a, b)
    assert (low + high) / 2 == pytest.approx(0.05)
    assert compare(a, one(3, 0.5, 0.4)) is None
    wider = compare(a, b, comparisons=4)
    assert wider[0] < low < high < wider[1]


def test_shrinking_keeps_all_without_noise_and_nothing_where_graphs_do_not_differ():
    scores = [0.5, 0.6, 0.7]
    assert shrink(one(1, 0.7, 0.7), scores, 0.0) == pytest.approx(0.7)
    assert shrink(one(1, 0.7, 0.7), scores, 1.0) == pytest.approx(0.6)
    half = shrink(one(1, 0.7), scores, (0.01 / 2) ** 0.5)  # variances: 0.005 between, 0.005 within
    assert half == pytest.approx(0.65)
    assert shrink(one(1, 0.7), scores, None) is None


@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=4), min_size=1, max_size=4))
def test_the_spread_is_pooled_over_graphs(scores):
    found = measure_spread([one(number, 0.5, *each) for number, each in enumerate(scores)])
    squares = sum(statistics.variance(each) * (len(each) - 1) for each in scores)
    assert found**2 == pytest.approx(squares / sum(len(each) - 1 for each in scores), abs=1e-12)


def test_the_best_mean_is_nearer_to_the_truth_than_the_luckiest_run():
    """Forty graphs, noise as large as their differences: 200 races of 5 with 3 seeds each."""
    draw = random.Random(0)
    gain, curse, bias = [], [], []
    for _ in range(200):
        truth = [draw.gauss(0.8, 0.02) for _ in range(40)]
        graphs = [one(number, draw.gauss(true, 0.03)) for number, true in enumerate(truth)]
        lucky = rank(graphs)[0]
        raced = [
            one(each.number, each.score, *(draw.gauss(truth[each.number], 0.03) for _ in range(3)))
            for each in rank(graphs)[:5]
        ]
        winner = rank(raced)[0]
        gain.append(truth[winner.number] - truth[lucky.number])
        curse.append(lucky.score - truth[lucky.number])
        bias.append(winner.mean - truth[winner.number])
    assert statistics.fmean(gain) > 0.004
    assert statistics.fmean(bias) < 0.5 * statistics.fmean(curse)


@dataclass(frozen=True)
class Ran:
    """A finished trial, as a queue or a store has it."""

    number: int
    score: float
    race_of: int | None = None
    seed: int = 0
    fold: int | None = None
    baseline: str | None = None
    arm: str | None = None
    is_exact: bool = False
    loss: float = 1.0
    repeat_s: float = 2.0


def test_gathered_are_the_originals_with_the_scores_of_their_repeats_and_who_are_rivals():
    runs = [
        Ran(1, 0.8, baseline="alone"),
        Ran(2, 0.9),
        Ran(3, 0.7, arm=TUNED_ALONE),
        Ran(4, 0.6, arm=TUNED_ALONE),
        Ran(5, 0.85, race_of=2, seed=101),
        Ran(6, 0.87, race_of=2, seed=102),
    ]
    found = gather(runs)
    assert numbers(found) == [1, 2, 3, 4]
    assert [one.is_rival for one in found] == [True, False, True, False]
    assert found[1].scores == {101: 0.85, 102: 0.87}
    assert found[0].cost_s == 2.0


def test_what_a_fold_is_worth_is_taken_out_and_nobody_leads_by_seeds_that_others_lack():
    hard = {0: 0.0, 1: -0.1, 2: 0.05}
    early = [Ran(9 + f, 0.8 + hard[f], 1, 101 + f, f) for f in range(3)]
    probe = Ran(1, 0.8, fold=0, baseline="probe", is_exact=True)
    lucky, good = Ran(4, 0.85 + hard[0], fold=0), Ran(5, 0.88 + hard[1], fold=1)
    found = gather([probe, lucky, good, *early])
    assert [one.runs for one in found] == [0, 0, 0]
    assert not any(one.is_exact for one in found)
    assert numbers(rank(found)) == [5, 4, 1]
    raced = [Ran(20 + f, 0.9 + hard[f], 5, 101 + f, f) for f in range(2)]
    found = gather([probe, lucky, good, *early, *raced])
    assert [one.runs for one in found] == [2, 0, 2]
    assert pair(found[2], found[0]) == pytest.approx([0.1, 0.1])
    assert found[2].mean - found[0].mean == pytest.approx(0.1)
