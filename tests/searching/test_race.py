"""The race: who takes part, who is out, and that the winner is not the luckiest."""

import random
from dataclasses import replace

from ktg.searching.contestants import Contestant
from ktg.searching.race import (
    FEWEST_ROUNDS,
    choose_next,
    choose_starters,
    find_dropped,
    leave_out_twins,
)


def one(number: int, score: float, *more: float, **known) -> Contestant:
    return Contestant(number, score, 1.0, dict(enumerate(more, 101)), cost_s=1.0, **known)


def numbers(found) -> list[int]:
    return [each.number for each in found]


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


def test_teachers_that_each_round_makes_leave_time_for_fewer():
    def taught(*names: str) -> list[Contestant]:
        known = [{"teachers": frozenset(name), "making_s": 5.0 * len(name)} for name in names]
        return [one(number, 1 - number / 100, **own) for number, own in enumerate(known, 1)]

    alike = taught("", "a", "a", "a")
    assert numbers(choose_starters(alike, FEWEST_ROUNDS * 9)) == [1, 2, 3, 4]
    assert numbers(choose_starters(alike, FEWEST_ROUNDS * 8)) == [1, 2, 3]
    different = taught("a", "b", "c", "ab")
    assert numbers(choose_starters(different, FEWEST_ROUNDS * 19)) == [1, 2, 3, 4]
    assert numbers(choose_starters(different, FEWEST_ROUNDS * 18)) == [1, 2, 3]
    assert numbers(choose_starters(different, FEWEST_ROUNDS * 13)) == [1, 2, 4]
    assert numbers(choose_starters(different, 0.0)) == [1, 2]


def test_of_graphs_that_differ_in_their_seed_alone_one_takes_part():
    graphs = [one(1, 0.7), one(2, 0.9), one(3, 0.8), one(4, 0.6, is_rival=True), one(5, 0.5)]
    keys = {1: "a", 2: "a", 3: "b", 4: "b", 5: "b"}
    assert sorted(numbers(leave_out_twins(graphs, keys, []))) == [2, 4]
    assert sorted(numbers(leave_out_twins(graphs, keys, [1, 5]))) == [1, 5]
    apart = {each.number: str(each.number) for each in graphs}
    assert sorted(numbers(leave_out_twins(graphs, apart, [1]))) == [1, 2, 3, 4, 5]


def test_who_has_begun_stays():
    graphs = [one(number, 1 - number / 100) for number in range(1, 6)]
    assert numbers(choose_starters([*graphs, one(9, 0.1, 0.5)], 0.0)) == [1, 2, 9]


def test_only_what_is_proven_worse_is_out():
    leader, near, far = one(1, 0.9, 0.90, 0.92, 0.91), one(2, 0.9, 0.89, 0.93, 0.90), None
    far = one(3, 0.9, 0.50, 0.52, 0.50)
    assert find_dropped([leader, near, far]) == {3}
    assert find_dropped([one(1, 0.9, 0.9), one(2, 0.9, 0.1)]) == set()  # one seed proves nothing


def test_who_is_out_stays_out_while_others_go_on():
    leader, far = one(1, 0.9, 0.91, 0.92, 0.91), one(3, 0.9, 0.50, 0.50)
    assert find_dropped([one(1, 0.9, 0.91, 0.92), far]) == {3}
    assert find_dropped([leader, far]) == {3}  # on the same two pairs


def test_of_equals_one_is_seldom_out_however_often_one_looks():
    chance, races, wrong = random.Random(1), 200, 0
    for _ in range(races):
        scores = [[chance.gauss(0.9, 0.01) for _ in range(12)] for _ in range(3)]
        wrong += any(
            find_dropped([one(i, 0.9, *own[:seeds]) for i, own in enumerate(scores)])
            for seeds in range(2, 13)
        )
    assert wrong / races <= 0.05  # 0.24 if each look might err as if it were the only one


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
    assert choose_next([one(1, 0.9, 0.9, 0.9), one(2, 0.8, 0.11, 0.1)], {}, 101) is None


def test_who_failed_runs_no_more_and_speaks_against_nobody():
    graphs = [one(1, 0.9, 0.9, 0.91, 0.9, failed=True), one(2, 0.8, 0.5, 0.51), one(3, 0.7, 0.5)]
    assert numbers(choose_starters(graphs, 1e9)) == [2, 3]
    assert find_dropped(graphs) == set()


def test_what_is_expected_decides_who_takes_part():
    graphs = [one(1, 0.9, promise=0.6), *(one(number, 0.5, promise=0.7) for number in range(2, 6))]
    assert numbers(choose_starters(graphs, 1e9)) == [2, 3, 4, 5]


def test_on_few_images_less_is_proven():
    leader, far = one(1, 0.9, 0.91, 0.92, 0.91), one(3, 0.9, 0.84, 0.85, 0.845)
    assert find_dropped([leader, far]) == {3}
    for images, kinds, dropped in (
        (20, ("alone", "mutual"), set()),
        (20, ("alone", "alone"), {3}),  # other images would change both alike
        (2000, ("alone", "mutual"), {3}),
    ):
        known = [
            replace(each, images=images, expected=each.mean, kind=kind)
            for each, kind in zip((leader, far), kinds, strict=True)
        ]
        assert find_dropped(known) == dropped
