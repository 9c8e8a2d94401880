"""Whole searches replayed without training: nothing twice, nothing lost, the right winner."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.canonical import key
from ktg.searching.ledger import Ledger
from ktg.space import parse_space

# Two equal nodes, gates open or cut: with n1 -> n0 cut only label -> n0 is left to train n0; with it open, each of the
# other three edges may be open or not.
GRAPHS = 1 + 2**3


def space(trials: int, nodes: int = 2, baselines: bool = True, gates: tuple = ("through", "cutoff"), **search):
    return parse_space(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 4},
            "nodes": {f"n{i}": {"model": "resnet8"} for i in range(nodes)},
            "edges": {
                "label -> any": {"gate": {"choice": list(gates)}},
                "any -> any": {"gate": {"choice": list(gates)}},
            },
            "search": {"trials": trials, "baselines": baselines, **search},
        }
    )


def accuracy_of(entry) -> float:
    return int(entry.key[:6], 16) / 0xFFFFFF


def run(ledger: Ledger, *, at_once: int = 1, seed: int = 0, ends=("finished", "stopped", "failed")) -> None:
    """Play a search with trials that end in random order and in random ways."""
    chance, running = random.Random(seed), []
    while True:
        while len(running) < at_once and (entry := ledger.propose()):
            running.append(entry)
        if not running:
            return
        entry = running.pop(chance.randrange(len(running)))
        end = "finished" if entry.baseline else chance.choice(ends)
        for epoch in range(1, 5 if end == "finished" else 3):
            ledger.report(entry, epoch, {"val_accuracy": accuracy_of(entry), "val_loss": 1.0}, 1.0)
        ledger.close(entry, "broken" if end == "failed" else None)
        assert entry.state == end


@given(seed=st.integers(0, 50), at_once=st.integers(1, 4), sampler=st.sampled_from(["random", "tpe"]))
def test_no_graph_is_trained_twice_and_every_proposal_is_accounted_for(seed, at_once, sampler):
    ledger = Ledger(space(6, seed=seed, sampler=sampler))
    run(ledger, at_once=at_once, seed=seed)
    assert max(Counter(entry.key for entry in ledger.entries).values()) == 1
    assert all(key(entry.graph) == entry.key for entry in ledger.entries)
    assert all(duplicate.of in ledger.entries for duplicate in ledger.duplicates)
    assert not ledger.in_state("running")
    assert not ledger._waiting


def test_baselines_come_first_and_the_winner_is_never_worse():
    ledger = Ledger(space(5))
    run(ledger, ends=("finished",))
    assert [entry.baseline for entry in ledger.entries[:3]] == ["alone", "distillation", "mutual learning"]
    finished = ledger.in_state("finished")
    assert ledger.best.accuracy == max(accuracy_of(entry) for entry in finished)
    assert ledger.best in finished


def test_a_small_space_is_exhausted_and_every_graph_in_it_trained_once():
    ledger = Ledger(space(10_000, baselines=False, sampler="random"))
    run(ledger, ends=("finished",))
    assert len(ledger.entries) == GRAPHS
    assert ledger.exhausted


def test_a_duplicate_of_a_running_trial_waits_for_its_result():
    ledger = Ledger(space(10_000, baselines=False, sampler="random"))
    running = [ledger.propose() for _ in range(GRAPHS)]
    assert ledger.propose() is None  # everything else is a duplicate of one that runs
    assert ledger.duplicates
    for entry in running:
        ledger.report(entry, 4, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
        ledger.close(entry)
    assert not ledger._waiting
    assert not ledger.sampler._asked  # the sampler knows of every point what became of it


def test_untaught_targets_are_never_proposed():
    ledger = Ledger(space(6, baselines=False, sampler="random"))
    run(ledger)
    assert ledger.untaught > 0
    for entry in ledger.entries:
        assert any(target == "n0" and edge.gate != "cutoff" for (_, target), edge in entry.graph.edges.items())


def test_of_equal_accuracy_the_lower_loss_wins_and_a_stopped_trial_never_does():
    ledger = Ledger(space(3, baselines=False))
    first, second, third = (ledger.propose() for _ in range(3))
    ledger.report(first, 4, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
    ledger.report(second, 4, {"val_accuracy": 0.5, "val_loss": 0.9}, 1.0)
    ledger.report(third, 2, {"val_accuracy": 0.9, "val_loss": 0.1}, 1.0)
    for entry in (first, second, third):
        ledger.close(entry)
    assert ledger.best is second
    assert third.state == "stopped"


@pytest.mark.parametrize("at_once", [1, 3])
def test_what_is_saved_is_counted(at_once):
    ledger = Ledger(space(10_000, baselines=False, sampler="random"))
    run(ledger, at_once=at_once, ends=("stopped",))
    assert len(ledger.in_state("stopped")) == GRAPHS
    assert len(ledger.duplicates) > 10
