"""The advice: the simplest graph that is not proven worse than the best, and how it is said."""

from dataclasses import replace

import numpy as np
import pytest

from ktg.graph import parse
from ktg.intervals import proportion_difference_interval
from ktg.searching.advice import (
    Candidate,
    Effort,
    advise,
    advise_by_validation,
    measure_effort,
)
from ktg.searching.race import Contestant


def make(what, accuracy, trained=10, train_s=1.0, delivered=10, networks=1):
    return Candidate(
        what, f"trial of {what}", accuracy, Effort(delivered, trained, networks, train_s)
    )


def prove(*worse):
    """Return a comparison by which just these are proven worse."""
    return lambda best, other: (0.01, 0.2) if other.what in worse else (-0.05, 0.1)


BEST = make("best graph", 0.9, trained=30, train_s=9.0, networks=3)
ALONE, DISTILLED = make("alone", 0.85), make("distillation", 0.88, trained=20, networks=2)


@pytest.mark.parametrize(
    ("worse", "shipped"),
    [((), "alone"), (("alone",), "distillation"), (("alone", "distillation"), "best graph")],
)
def test_the_simplest_that_is_not_proven_worse(worse, shipped):
    for order in ([BEST, ALONE, DISTILLED], [DISTILLED, ALONE, BEST]):
        assert advise(order, prove(*worse), "test").what == shipped


def test_the_sentence_names_the_graph_the_best_and_the_interval():
    found = advise([BEST, ALONE], prove(), "test")
    assert found.sentence == (
        "Ship alone (trial of alone): it is the simplest graph that is not proven worse than the "
        "best graph (+5.00 points, 95 % -5.00 to +10.00)."
    )
    assert (found.trial, found.basis) == ("trial of alone", "test")
    every = advise([BEST, ALONE], prove("alone"), "test").sentence
    assert every.endswith("it is the best, and every simpler one is proven worse.")
    simple = advise([make("alone", 0.99), DISTILLED], prove(), "test").sentence
    assert simple.endswith("it is the best, and no other graph is simpler.")


def test_what_cannot_be_compared_is_never_advised():
    assert advise([BEST, ALONE], lambda best, other: None, "test").what == "best graph"
    assert advise([BEST], prove(), "test") is None


def test_nothing_is_said_of_simpler_graphs_that_were_not_compared():
    def compare(best, other):
        return None if other is ALONE else prove(*worse)(best, other)

    worse: tuple[str, ...] = ()
    found = advise([BEST, ALONE, DISTILLED], compare, "test")
    assert found.what == "distillation"
    assert (
        "it is the simplest graph of those that could be compared that is not proven worse than "
        "the best graph (" in found.sentence
    )
    worse = ("distillation",)
    found = advise([BEST, ALONE, DISTILLED], compare, "test")
    assert found.sentence.endswith("it is the best, and no simpler one is known to be as good.")
    large = make("mutual learning", 0.8, trained=99)
    found = advise([BEST, large], lambda best, other: None, "test")
    assert found.sentence.endswith("it is the best, and no other graph is simpler.")


def test_of_equal_networks_the_cheapest_and_of_equal_cost_the_more_accurate():
    slow, quick = make("slow", 0.9, train_s=5.0), make("quick", 0.89, train_s=1.0)
    assert advise([slow, quick], prove(), "test").what == "quick"
    twins = [make("a", 0.8), make("b", 0.85), make("c", 0.84)]
    assert advise(twins, prove(), "test").what == "b"


def entered(*candidates, scores=None):
    """Return candidates as a search has them, with their scores of new seeds."""
    return [
        (one, Contestant(place, one.accuracy, scores=(scores or {}).get(one.what, {})))
        for place, one in enumerate(candidates)
    ]


def test_by_validation_the_intervals_are_of_proportions_and_corrected_for_their_number():
    images, rest = 100, [make(str(place), 0.9, trained=99) for place in range(8)]
    low = proportion_difference_interval(0.9, 0.78, images)[0]
    assert low > 0 > proportion_difference_interval(0.9, 0.78, images, 9)[0]
    alone = make("alone", 0.78)

    def advised(*candidates, **how):
        return advise_by_validation(entered(*candidates), **{"images": images, **how})

    assert advised(BEST, alone, metric="accuracy").what == "best graph"
    assert advised(BEST, alone, *rest, metric="accuracy").what == "alone"
    assert advised(BEST, alone, images=None, metric="accuracy") is None
    assert advised(BEST, alone, metric="auroc") is None  # no share of images


def test_new_seeds_of_a_race_say_more_than_one_training():
    best, alone = make("best graph", 0.7, trained=30), make("alone", 0.9)  # by the race
    seeds = {"best graph": {1: 0.9, 2: 0.91, 3: 0.92}, "alone": {1: 0.8, 2: 0.815, 3: 0.82}}
    found = advise_by_validation(entered(best, alone, scores=seeds), 100, "balanced_accuracy")
    assert found.what == "best graph"
    seeds["alone"] = {1: 0.9, 2: 0.8, 3: 0.95}
    found = advise_by_validation(entered(best, alone, scores=seeds), 100, "loss")
    assert found.what == "alone"
    assert "nats" in found.sentence


def test_a_graph_of_which_a_training_failed_is_not_advised():
    seeds = {"best graph": {1: 0.9, 2: 0.91, 3: 0.92}, "alone": {1: 0.9, 3: 0.95}}
    whole = entered(BEST, ALONE, scores=seeds)
    assert advise_by_validation(whole, 100, "accuracy").what == "alone"
    failed = [whole[0], (ALONE, replace(whole[1][1], failed=True))]
    for metric in ("accuracy", "auroc"):  # nor by its one training
        found = advise_by_validation(failed, 100, metric)
        assert found is None or found.what == "best graph"


def test_the_advice_names_no_difference_that_cannot_be():
    seeds = {"best graph": {1: 0.9, 2: 0.2}, "alone": {1: 0.1, 2: 0.7}}
    found = advise_by_validation(entered(BEST, ALONE, scores=seeds), None, "accuracy")
    assert found.sentence.endswith("95 % -100.00 to +100.00).")


def test_the_truly_best_is_kept_in_95_of_100_worlds():
    # Ten graphs as good as each other but one, which has the most parameters and is better.
    random, worlds, kept = np.random.default_rng(0), 400, 0
    for _ in range(worlds):
        shares = random.binomial(300, [0.8] * 9 + [0.81]) / 300
        best = max(shares)
        kept += proportion_difference_interval(best, shares[-1], 300, 9)[0] <= 0
    assert kept >= 0.95 * worlds


def read(nodes, edges, **train):
    raw = {"data": {"name": "digits", "size": 32}, "train": {"epochs": 3, **train}}
    return parse({**raw, "nodes": nodes, "edges": edges})


def test_effort_counts_what_is_delivered_and_what_is_trained():
    small, large = {"model": "resnet8"}, {"model": "resnet14"}
    edges = {"label -> n0": {}, "label -> n1": {}, "n1 -> n0": {}}
    alone = measure_effort(read({"n0": small}, {"label -> n0": {}}), 1.0)
    both = measure_effort(read({"n0": small, "n1": large}, edges), 1.0)
    cut = measure_effort(
        read({"n0": small, "n1": large}, {**edges, "n1 -> n0": {"gate": "cutoff"}}), 1.0
    )
    frozen = measure_effort(read({"n0": {**small, "frozen_epochs": 3}}, {"label -> n0": {}}), 1.0)
    assert alone == cut
    assert alone.delivered == both.delivered == frozen.delivered == alone.trained
    assert (both.networks, frozen.trained) == (2, 64 * 10 + 10)
    assert frozen < alone < both
