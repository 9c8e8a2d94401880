"""A ranking in a tracker: the table and the chart in its run, a run for each candidate below it."""

import json

import pytest

from ktg.affinity.ranking import Measured
from ktg.affinity.record import log_ranking, start_ranking
from ktg.tracking import MemoryTracker


def test_runs_of_a_ranking():
    tracker = MemoryTracker()
    one = Measured(
        "layer4", (2, 3, 3), 1000, 50, 1.5, {"knn": 0.5}, {"leep": "no head"}, {"knn": 0.25}
    )
    with start_ranking(tracker, "photos", "knn") as run:
        log_ranking(tracker, run, {"m@s": one}, {"m@t": "does not fit"}, b"<svg/>")
    parent, child, failed = tracker.runs.values()
    assert parent.state == "finished"
    assert parent.artifacts["ranking.svg"] == b"<svg/>"
    table = json.loads(parent.artifacts["ranking.json"])
    assert table["candidates"]["m@s"]["scores"] == {"knn": 0.5}
    assert table["candidates"]["m@s"]["not_applicable"] == {"leep": "no head"}
    assert table["not_measured"] == {"m@t": "does not fit"}
    assert (child.name, child.params["source"], child.history("knn")) == ("m@s", "s", [(0, 0.5)])
    assert child.history("parameters") == [(0, 1000.0)]
    assert (failed.state, failed.tags["reason"]) == ("failed", "does not fit")


def test_an_error_ends_the_run_as_failed():
    tracker = MemoryTracker()
    with pytest.raises(KeyError), start_ranking(tracker, "photos", "knn"):
        raise KeyError
    assert [run.state for run in tracker.runs.values()] == ["failed"]
