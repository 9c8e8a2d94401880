from ktg.tracking import MemoryTracker, Tracker


def test_a_run_keeps_what_it_was_told():
    tracker: Tracker = (memory := MemoryTracker())
    parent = tracker.start("search")
    child = tracker.start(
        "trial 0", parent=parent, params={"edges.n1.n0.gate": "linear"}, tags={"seed": "0"}
    )
    tracker.log(child, {"val.accuracy": 0.5}, 1)
    tracker.log(child, {"val.accuracy": 0.6, "lr": 0.1}, 2)
    tracker.artifact(child, "graph.yaml", "nodes: {}")
    tracker.end(child, "stopped", {"rung": "2"})
    run = memory.runs[child]
    assert (run.parent, run.state, run.tags) == (
        parent,
        "stopped",
        {"seed": "0", "rung": "2", "state": "stopped"},
    )
    assert run.history("val.accuracy") == [(1, 0.5), (2, 0.6)]
    assert run.history("lr") == [(2, 0.1)]
    assert run.artifacts == {"graph.yaml": "nodes: {}"}


def test_going_on_with_a_run_reopens_it_and_ends_its_forgotten_children():
    tracker = MemoryTracker()
    parent = tracker.start("search")
    known, forgotten = (tracker.start(name, parent=parent) for name in ("known", "forgotten"))
    tracker.end(parent, "interrupted")
    assert tracker.start("search", run=parent) == parent
    tracker.start("known", parent=parent, run=known)
    states = [tracker.runs[run].state for run in (parent, known, forgotten)]
    assert states == [None, None, "interrupted"]
