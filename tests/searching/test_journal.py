"""A search written into a tracker: every trial a run, and every run ended."""

import pytest

from ktg.canonical import key
from ktg.files import loads
from ktg.searching.journal import Journal, environment
from ktg.searching.ledger import Ledger
from ktg.searching.outcome import result_of
from ktg.space import parse_space
from ktg.spec import parse
from ktg.tracking import MemoryRun, MemoryTracker


@pytest.fixture
def ledger() -> Ledger:
    return Ledger(
        parse_space(
            {
                "data": {"name": "digits"},
                "train": {"epochs": 2},
                "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
                "edges": {"label -> n0": {}, "n1 -> n0": {"gate": {"choice": ["through", "cutoff"]}}},
                "search": {"trials": 3, "sampler": "random"},
            }
        )
    )


@pytest.fixture
def tracker() -> MemoryTracker:
    return MemoryTracker()


@pytest.fixture
def journal(ledger, tracker) -> Journal:
    return Journal(tracker, ledger, "mine", {"data.fingerprint": "abc"})


def play(journal: Journal, epochs: int, reason: str | None = None):
    entry = journal.ledger.propose()
    journal.started(entry)
    for epoch in range(1, epochs + 1):
        journal.ledger.report(entry, epoch, {"val_accuracy": 0.1 * epoch, "val_loss": 1.0}, 1.0)
        journal.reported(entry)
    journal.ledger.close(entry, reason)
    journal.closed(entry)
    return entry


def run_of(tracker: MemoryTracker, name: str) -> MemoryRun:
    return next(run for run in tracker.runs.values() if run.name == name)


def test_the_parent_begins_with_the_space_and_the_settings(journal, tracker, ledger):
    parent = tracker.runs[journal.parent]
    assert parent.params["search.trials"] == 3
    assert "search.concurrent" not in parent.params
    assert parent.tags["kind"] == "search"
    assert parent.tags["data.fingerprint"] == "abc"
    written = parse_space(loads(parent.artifacts["space.yaml"], "space.yaml"))
    assert (written.holes, written.search) == (ledger.space.holes, ledger.space.search)


def test_a_trial_has_its_values_its_epochs_its_state_and_its_graph(journal, tracker):
    entry = play(journal, epochs=2)
    run = run_of(tracker, "trial-0001 (alone)")
    assert run.parent == journal.parent
    assert run.params == {"edges.n1.n0.gate": "cutoff"}
    assert run.history("val_accuracy") == [(1, 0.1), (2, 0.2)]
    assert run.state == "finished"
    expected = {"kind": "trial", "baseline": "alone", "sampler": "random", "seed": "0", "epoch": "2", "key": entry.key}
    assert expected.items() <= run.tags.items()
    assert key(parse(loads(run.artifacts["graph.yaml"], "graph.yaml"))) == entry.key
    assert run.artifacts["graph.svg"].startswith(("<svg", "<?xml"))
    assert tracker.runs[journal.parent].history("best_val_accuracy") == [(1, 0.2)]


def test_a_failure_keeps_its_reason_and_a_stop_its_epoch(journal, tracker):
    play(journal, epochs=0, reason="out of memory")
    play(journal, epochs=1)
    failed, stopped = run_of(tracker, "trial-0001 (alone)"), run_of(tracker, "trial-0002 (distillation)")
    assert (failed.state, failed.tags["reason"]) == ("failed", "out of memory")
    assert (stopped.state, stopped.tags["epoch"]) == ("stopped", "1")


def test_every_duplicate_is_a_run_that_is_over(journal, tracker, ledger):
    while len(ledger.entries) < 3:
        play(journal, epochs=2)
    assert ledger.propose() is None  # both graphs of the space are known: all else are duplicates
    journal.end(result_of(ledger, "mine", 1.0, interrupted=False))
    duplicates = [run for run in tracker.runs.values() if run.state == "duplicate"]
    assert len(duplicates) == len(ledger.duplicates) > 0
    assert {run.tags["duplicate_of"] for run in duplicates} <= {entry.name for entry in ledger.entries}


def test_the_end_leaves_no_run_open(journal, tracker, ledger):
    play(journal, epochs=2)
    running = ledger.propose()
    journal.started(running)
    journal.end(result_of(ledger, "mine", 1.0, interrupted=True))
    assert all(run.state is not None for run in tracker.runs.values())
    assert run_of(tracker, running.name).state == "interrupted"
    parent = tracker.runs[journal.parent]
    assert parent.state == "interrupted"
    assert parent.tags["best_trial"] == "trial-0001 (alone)"
    assert parse(loads(parent.artifacts["best.yaml"], "best.yaml")) == ledger.best.graph
    assert "best.svg" in parent.artifacts


def test_a_search_without_a_finished_trial_has_failed(journal, tracker, ledger):
    play(journal, epochs=1, reason="nan")
    journal.end(result_of(ledger, "mine", 1.0, interrupted=False))
    assert tracker.runs[journal.parent].state == "failed"
    assert "best.yaml" not in tracker.runs[journal.parent].artifacts


def test_the_versions_of_what_a_result_depends_on_are_kept():
    assert {"version.torch", "version.timm", "version.ray", "version.optuna", "python"} <= environment().keys()
