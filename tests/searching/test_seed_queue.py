"""The trials of given graphs with several seeds: in which order, and what comes of them."""

import json

from ktg.graph import parse
from ktg.graph.canonical import canonical_key, with_seed
from ktg.searching.seed_queue import SeedQueue, SeedRun

ONE, TWO = (
    parse(
        {
            "data": {"name": "digits"},
            "train": {"lr": lr, "epochs": 2},
            "nodes": {"n0": {"model": "resnet8"}},
            "edges": {"label -> n0": {}},
        }
    )
    for lr in (0.1, 0.2)
)
GRAPHS = {"best graph": ONE, "2nd best": TWO}
LAST = {"test_accuracy": 0.5, "test_loss": 0.7}


def test_graph_by_graph_without_what_is_done():
    done = {canonical_key(with_seed(ONE, 1001)): SeedRun(1001, 0.5, 0.1, 1.0, "01")}
    queue = SeedQueue(GRAPHS, [1000, 1001], done)
    assert (queue.total, queue.planned, queue.is_interrupted) == (4, 3, True)
    trials = [queue.propose() for _ in range(3)]
    assert [trial.name for trial in trials] == [
        "best graph, seed 1000",
        "2nd best, seed 1000",
        "2nd best, seed 1001",
    ]
    assert [trial.key for trial in trials] == [canonical_key(trial.graph) for trial in trials]
    assert queue.propose() is None
    assert queue.is_interrupted


def test_two_names_of_one_graph_are_trained_once():
    queue = SeedQueue({"best graph": ONE, "alone": ONE}, [1000])
    (trial,) = iter(queue.propose, None)
    queue.record_epoch(trial, 2, dict(LAST), 1.0)
    queue.close(trial)
    assert queue.results("best graph") == queue.results("alone") == [SeedRun(1000, 0.5, 0.7, 1.0)]


def test_what_comes_of_a_training():
    queue = SeedQueue(GRAPHS, [1000, 1001])
    good, bad = queue.propose(), queue.propose()
    assert queue.record_epoch(good, 1, {"epoch_s": 1.0}, 1.5)
    # Trained again after its worker died.
    assert not queue.record_epoch(good, 1, {"epoch_s": 1.0}, 1.5)
    metrics = json.loads(json.dumps(LAST | {"right": "10"}))
    assert queue.record_epoch(good, 2, metrics, 1.50004)
    assert metrics == LAST  # what is left are numbers, for the tracker
    queue.close(good)
    queue.close(bad, "out of memory")
    assert queue.results("best graph") == [SeedRun(1000, 0.5, 0.7, 4.5, "10")]
    assert queue.failures("best graph") == {1001: "out of memory"}
    assert queue.is_interrupted
    for trial in iter(queue.propose, None):
        queue.close(trial, "out of memory")
    assert not queue.is_interrupted
    assert [len(queue.in_state(state)) for state in ("running", "finished", "failed")] == [0, 1, 3]
