"""The agenda: what is trained and in which order, and what an earlier confirmation has done already."""

import json

import pytest

from ktg.graph import parse
from ktg.graph.canonical import canonical_key, with_seed
from ktg.searching.confirm.candidates import Candidate
from ktg.searching.confirm.queue import Agenda, Scored, read_done
from ktg.tracking import MlflowTracker, find_experiment
from ktg.version import __version__

RAW = {
    "data": {"name": "digits"},
    "nodes": {"n0": {"model": "resnet8"}},
    "edges": {"label -> n0": {}},
}
ONE, TWO = (
    Candidate(f"trial-000{place}", place, None, 0.5, parse(RAW | {"train": {"lr": place / 10}}))
    for place in (1, 2)
)
LAST = {"test_accuracy": 0.5, "test_loss": 0.7}


def test_graph_by_graph_without_what_is_done():
    done = {canonical_key(with_seed(ONE.graph, 1001)): Scored(1001, 0.5, 0.1, 1.0, "01")}
    agenda = Agenda([ONE, TWO], [1000, 1001], done)
    assert (len(agenda.jobs), agenda.planned, agenda.interrupted) == (4, 3, True)
    jobs = [agenda.propose() for _ in range(3)]
    assert [job.name for job in jobs] == [
        "best graph, seed 1000",
        "2nd best, seed 1000",
        "2nd best, seed 1001",
    ]
    assert [job.key for job in jobs] == [canonical_key(job.graph) for job in jobs]
    assert agenda.propose() is None
    assert agenda.interrupted


def test_what_comes_of_a_training():
    agenda = Agenda([ONE], [1000, 1001], {})
    good, bad = agenda.propose(), agenda.propose()
    assert agenda.report(good, 1, {"epoch_s": 1.0}, 1.5)
    assert not agenda.report(good, 1, {"epoch_s": 1.0}, 1.5)  # trained again after its worker died
    metrics = json.loads(json.dumps(LAST | {"right": "10"}))
    assert agenda.report(good, 2, metrics, 1.50004)
    assert metrics == LAST  # what is left are numbers, for the tracker
    agenda.close(good)
    agenda.close(bad, "out of memory")
    assert agenda.tested(ONE) == [Scored(1000, 0.5, 0.7, 4.5, "10")]
    assert agenda.failures(ONE) == {1001: "out of memory"}
    assert not agenda.interrupted
    assert [len(agenda.in_state(state)) for state in ("running", "finished", "failed")] == [0, 1, 1]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Write trainings of which one alone is of use for data of the fingerprint f with two test images."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    good = {"key": "good", "data.fingerprint": "f", "version.ktg-automl": __version__}
    variants = [
        (good, "finished", "10"),
        (good | {"key": "other data", "data.fingerprint": "g"}, "finished", "10"),
        (good | {"key": "other version", "version.ktg-automl": "0.0.1"}, "finished", "10"),
        (good | {"key": "interrupted"}, "interrupted", "10"),
        (good | {"key": "other test split"}, "finished", "101"),
    ]
    with MlflowTracker("some", uri) as tracker:
        parent = tracker.start("confirm", tags={"kind": "confirm"})
        for tags, state, right in variants:
            run = tracker.start(
                tags["key"],
                parent=parent,
                params={"seed": 1000},
                tags={"kind": "confirmation", **tags},
            )
            tracker.log(run, LAST, 3)
            tracker.artifact(run, "right.txt", right)
            tracker.end(run, state, {"train_s": "4.500"})
        tracker.end(parent, "interrupted")
    return find_experiment("some", uri)


def test_what_was_done_counts_if_it_was_the_same(experiment):
    assert read_done(experiment, ["f", "h"], 2) == {"good": Scored(1000, 0.5, 0.7, 4.5, "10")}
    assert not read_done(experiment, ["h"], 2)
