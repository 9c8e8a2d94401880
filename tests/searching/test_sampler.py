"""The sampler: labels are lossless, and what is told changes what is asked."""

import pytest

from ktg.graph import Affinity, Choice, Int, Log, Search, Uniform
from ktg.searching.sampler import STARTUP, Outcome, Sampler

HOLES = {
    "train.lr": Log(low=0.01, high=1.0),
    "train.weight_decay": Uniform(low=0.0, high=0.1),
    "train.epochs": Int(low=1, high=9),
    "train.milestones": Choice(options=([1, 2], [3])),
    "edges.n1.n0.gate": Choice(options=("through", "cutoff")),
}


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_every_value_asked_for_lies_in_its_hole(sampler):
    source = Sampler(HOLES, Search(sampler=sampler))
    for _ in range(20):
        number, values = source.ask()
        assert values.keys() == HOLES.keys()
        assert all(HOLES[path].contains(value) for path, value in values.items())
        source.tell(number, Outcome("finished", values["train.lr"], 9))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_seed_decides_what_is_asked(sampler):
    def asked(seed: int) -> list[dict]:
        source = Sampler(HOLES, Search(sampler=sampler, seed=seed))
        return [source.ask()[1] for _ in range(5)]

    assert asked(1) == asked(1)
    assert asked(1) != asked(2)


GATE = {"gate": Choice(options=("good", "bad"))}


def share_of_good(source: Sampler, bad: Outcome, asks: int) -> float:
    good = 0
    for _ in range(asks):
        number, values = source.ask()
        good += values["gate"] == "good"
        source.tell(number, Outcome("finished", 0.9, 9) if values["gate"] == "good" else bad)
    return good / asks


@pytest.mark.parametrize(
    "bad", [Outcome("finished", 0.1, 9), Outcome("stopped", 0.1, 1), Outcome("failed", 0.0, 0)]
)
def test_tpe_goes_where_it_was_told_good_things_whatever_the_state_of_the_bad(bad):
    source = Sampler(GATE, Search(sampler="tpe"))
    share_of_good(source, bad, asks=30)
    assert share_of_good(source, bad, asks=40) > 0.7


def test_a_gaussian_process_learns_from_trials_that_were_not_stopped_alone():
    bad = Outcome("stopped", 0.1, 1)
    evenly, taught = (Sampler(GATE, Search(sampler=sampler)) for sampler in ("random", "gp"))
    for source in (evenly, taught):
        for _ in range(STARTUP):
            source.add({"gate": "bad"}, bad)
    assert [taught.ask()[1] for _ in range(8)] == [evenly.ask()[1] for _ in range(8)]


def test_results_from_outside_count_too():
    source = Sampler(GATE, Search(sampler="tpe"))
    for _ in range(15):
        source.add({"gate": "good"}, Outcome("finished", 0.9, 9))
        source.add({"gate": "bad"}, Outcome("finished", 0.1, 9))
    assert share_of_good(source, Outcome("finished", 0.1, 9), asks=40) > 0.7


def test_a_grid_asks_for_what_its_own_search_has_not_met():
    source = Sampler({"gate": Choice(("good", "fair", "bad"))}, Search(sampler="grid"))
    source.add({"gate": "good"}, Outcome("finished", 0.9, 9), elsewhere=True)
    source.meet({"gate": "fair"})
    source.meet({"gate": "gone"})  # an option of an earlier process
    source.meet({})
    assert not source.has_met_all
    assert {source.ask()[1]["gate"] for _ in range(2)} == {"good", "bad"}
    assert source.ask() is None
    assert source.has_met_all


def told_of(sampler: str) -> list[dict]:
    """The parameters of two trials whose gate did nothing: one asked for, one from outside."""
    source = Sampler(HOLES, Search(sampler=sampler))
    number, values = source.ask()
    acting = HOLES.keys() - {"edges.n1.n0.gate"}
    source.tell(number, Outcome("stopped", 0.5, 3), acting)
    source.add(values, Outcome("finished", 0.7, 9), acting)
    seen = [one for one in source._study.trials if one.state.name != "FAIL"]
    assert [(one.state.name, one.value) for one in seen] == [("PRUNED", 0.5), ("COMPLETE", 0.7)]
    return [one.params for one in seen]


def test_tpe_learns_of_a_trial_only_the_holes_that_did_something():
    for params in told_of("tpe"):
        assert params.keys() == HOLES.keys() - {"edges.n1.n0.gate"}
    # A Gaussian process needs all: it draws at random what a trial lacks.
    assert all(params.keys() == HOLES.keys() for params in told_of("gp"))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_prior_of_affinity_draws_the_favourite_more_often(sampler):
    def share(prior: bool, trials: int) -> float:
        holes = HOLES | {"nodes.n0.source": Affinity(("best", "good", "poor"), prior=prior)}
        source = Sampler(holes, Search(sampler=sampler, seed=1))
        return sum(source.ask()[1]["nodes.n0.source"] == "best" for _ in range(trials)) / trials

    if sampler == "random":
        assert share(prior=True, trials=300) == pytest.approx(6 / 11, abs=0.08)
        assert share(prior=False, trials=300) == pytest.approx(1 / 3, abs=0.08)
    else:  # the first trials, which TPE draws at random
        assert share(prior=True, trials=STARTUP) > 1 / 3


def test_a_prior_does_not_bind_tpe_for_ever():
    """Where the favourite is poor, TPE finds out: all but its first trials are its own."""
    holes = {
        "nodes.n0.source": Affinity(("favourite", "winner"), prior=True),
        "train.lr": HOLES["train.lr"],
    }
    source = Sampler(holes, Search(sampler="tpe", seed=0))
    asked = []
    for _ in range(40):
        number, values = source.ask()
        asked.append(values["nodes.n0.source"])
        source.tell(number, Outcome("finished", 0.9 if asked[-1] == "winner" else 0.1, 9))
    assert asked[STARTUP:].count("winner") > 0.7 * len(asked[STARTUP:])
