"""What is known of each graph: its new seeds, who is ranked first, and what is expected of it."""

import random
import statistics
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.proposing.kinds import LEADS
from ktg.searching.contestants import (
    Contestant,
    compare,
    expect,
    explain_choice,
    gather,
    measure_spread,
    measure_standing,
    pair,
    rank,
    shrink,
)
from ktg.searching.expectation import Seen, expect_scores
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


def test_who_failed_with_a_new_seed_comes_after_who_did_not():
    """Two good seeds of three are the lucky ones; a mean of them proves nothing."""
    lucky, steady = one(1, 0.9, 0.9, 0.9, failed=True), one(2, 0.8, 0.8, 0.8, 0.8)
    unraced, probe = one(3, 0.95), one(4, 0.7, is_exact=True)
    assert numbers(rank([lucky, unraced, steady, probe])) == [2, 4, 3, 1]
    assert numbers(rank([one(1, 0.9, failed=True), one(2, 0.8)])) == [2, 1]
    assert compare(lucky, steady) is None
    assert compare(steady, lucky) is None


def test_gathered_is_who_failed():
    runs = [Ran(1, 0.8), Ran(2, 0.7), Ran(3, 0.9, race_of=1, seed=102)]
    assert [one.failed for one in gather(runs, failed={1})] == [True, False]
    assert not any(one.failed for one in gather(runs, failed={None}))  # in the search itself


def test_how_far_the_best_is_ahead_is_never_more_than_all():
    best, other = one(1, 0.9, 1.0, 0.9), one(2, 0.9, 0.1, 0.9)
    standing = measure_standing(other, best, [best, other], "accuracy")
    assert standing.interval == (-1, 1)
    assert measure_standing(other, best, [best, other], "loss").interval == compare(best, other)


def test_an_exact_graph_competes_by_its_one_score():
    probe = one(1, 0.85, is_exact=True)
    assert numbers(rank([one(2, 0.95, 0.8, 0.8), probe])) == [1, 2]
    assert numbers(rank([one(2, 0.95, 0.9, 0.9), probe])) == [2, 1]
    assert pair(one(2, 0.95, 0.8, 0.9), probe) == pytest.approx([-0.05, 0.05])


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
    kind: str | None = None
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


def search(images: float | None = None) -> list[Contestant]:
    """Return a search of 20 images that mutual learning has won by luck, with a race."""
    runs = [
        Ran(1, 0.6, baseline="alone", kind="alone"),
        Ran(2, 0.66, baseline="mutual learning", kind="mutual"),
        Ran(3, 0.65, kind="taught, unlabelled"),
        Ran(4, 0.6, baseline="probe", kind="probe", is_exact=True),
        Ran(5, 0.55, kind=None),
        *(Ran(10 + seed, 0.66, 2, 100 + seed) for seed in (1, 2, 3)),
        *(Ran(20 + seed, 0.65, 3, 100 + seed) for seed in (1, 2, 3)),
        *(Ran(30 + seed, 0.6, 1, 100 + seed) for seed in (1, 2, 3)),
    ]
    return gather(runs, images)


def test_few_images_leave_the_choice_to_what_kinds_are_worth_and_many_decide_themselves():
    few, many, unknown = search(20), search(20_000), search()
    assert rank(few)[0].number == 3
    assert rank(many)[0].number == rank(unknown)[0].number == 2
    assert [one.kind for one in few] == ["alone", "mutual", "taught, unlabelled", "probe", "other"]
    assert all(one.expected is None and one.images is None for one in unknown)
    assert many[1].expected == pytest.approx(0.66, abs=0.002)
    assert expect(few[1], few) == few[1].expected


def test_the_sentence_says_why_another_one_than_the_best_score_wins():
    sentence = explain_choice(search(20), "accuracy")
    assert sentence.startswith(
        "20 validation images say little: trial-0002 has the best score, 66.00"
    )
    assert "trial-0003, which wins: it is a target that a trained network teaches" in sentence
    assert f"{100 * LEADS['taught, unlabelled'].mean:+.1f} points" in sentence
    assert explain_choice(search(20_000), "accuracy") is None
    assert explain_choice(search(), "accuracy") is None
    assert explain_choice([], "accuracy") is None


def test_without_a_measured_kind_images_change_nothing():
    runs = [Ran(1, 0.8, baseline="alone"), Ran(2, 0.9)]
    assert gather(runs, 20) == gather(runs)


def test_folds_judge_by_as_many_images_as_there_are_different_ones():
    early = [Ran(9 + f, 0.8, 1, 101 + f, f) for f in range(3)]
    raced = [Ran(20 + f, 0.9, 5, 101 + f, f) for f in range(2)]
    first, good = (
        Ran(1, 0.8, fold=0, baseline="alone", kind="alone"),
        Ran(5, 0.9, kind="taught", fold=1),
    )
    found = gather([first, good, *early, *raced], 10)
    assert [one.images for one in found] == [20, 20]
    # The first training of each was judged by those of one fold.
    single = expect_scores([Seen(one.kind, one.score, 1, 10) for one in found])
    assert [one.promise for one in found] == single


SCORES = st.lists(st.floats(0.2, 0.9), min_size=1, max_size=6)


@given(st.lists(st.tuples(st.sampled_from(list(LEADS)), SCORES), min_size=1, max_size=6))
def test_with_many_images_and_seeds_that_agree_the_order_is_that_of_the_means(graphs):
    runs = [Ran(number, own[0], kind=kind) for number, (kind, own) in enumerate(graphs)]
    for number, (_, own) in enumerate(graphs):  # so many equal seeds leave nothing to chance
        runs += [Ran(1000 * number + seed, own[0], number, seed) for seed in range(101, 401)]
    plain, weighed = gather(runs), gather(runs, 1e9)
    assert all(
        a.mean == pytest.approx(b.expected, abs=1e-3) for a, b in zip(plain, weighed, strict=True)
    )
    for a, b in zip(rank(plain), rank(weighed), strict=True):
        assert a.mean == pytest.approx(b.mean, abs=2e-3)
