"""Affinity beside result: what a search kept of its measuring, and the trials counted by hand."""

import json

import pytest
from records import search, trial

from ktg.affinity.ranking import Measured
from ktg.graph import Affinity, parse_space
from ktg.graph.yaml_files import loads
from ktg.reporting.source_results import compare_sources
from ktg.searching.affinity import RankedSources, ResolvedSpace
from ktg.tracking import MlflowTracker, find_experiment

SPACE = """\
data: {name: digits}
train: {epochs: 8}
nodes:
  n0: {model: resnet8}
  n1: {model: {choice: [resnet8, resnet14]}, source: {choice: [good, none]}}
edges: {label -> n0: {}, n1 -> n0: {gate: {choice: [through, linear]}}}
search: {trials: 4, scheduler: asha, grace_epochs: 2}
"""
HOLE = Affinity(("none", "good", "bad", "lost"), keep=1, score="logme")


def scored(value):
    return Measured("layer", (4, 1, 1), 100, 20, 0.1, scores={"logme": value})


def measured():
    """Return what a search records: sources ranked by model, one of them not measured."""
    eight = RankedSources(
        "resnet8",
        "logme",
        {"good": scored(0.7), "none": scored(0.5), "bad": scored(0.1)},
        {"lost": "gone"},
    )
    fourteen = RankedSources("resnet14", "logme", {"none": scored(0.4), "good": scored(0.3)}, {})
    space = parse_space(loads(SPACE, "space.yaml"))
    return ResolvedSpace(space, {"n1": HOLE}, {"n1": [eight, fourteen]}).to_json()


def drawn(number, model, source, state="stopped", curve=(0.2, 0.4)):
    values = {"nodes.n1.model": model, "nodes.n1.source": source, "edges.n1.n0.gate": "through"}
    return trial(number, state, curve, values, base={})


def found(uri, content, *trials):
    """Return what is reported of a search that kept `content`, and ended with these trials."""
    name = f"affinity {abs(hash(content))}"
    with MlflowTracker(name, uri) as tracker:
        run = tracker.start(name, tags={"kind": "search"})
        if content is not None:
            tracker.artifact(run, "affinity.json", content)
        tracker.end(run, "finished")
    experiment = find_experiment(name, uri)
    record = search(*trials, space=SPACE, experiment=experiment)
    return compare_sources(record, record.space.bind(record.best.values))


def test_scores_stand_beside_results_of_the_winning_model(uri):
    trials = (
        drawn(1, "resnet8", "none", "finished", (0.2, 0.4, *[0.9] * 6)),  # the best
        drawn(2, "resnet8", "good", curve=(0.3, 0.6)),
        drawn(3, "resnet8", "good", curve=(0.3, 0.8)),
        drawn(4, "resnet14", "good", curve=(0.3, 0.1)),  # of another model
        drawn(5, "resnet8", "good", "running", (0.9,)),  # not yet at the first rung
    )
    report = found(uri, json.dumps(measured()), *trials)
    assert (report["score"], report["epoch"]) == ("logme", 2)
    (node,) = report["nodes"]
    assert (node["node"], node["model"], node["favourite"], node["won"], node["agree"]) == (
        "n1",
        "resnet8",
        "good",
        "none",
        False,
    )
    rows = {row["source"]: row for row in node["candidates"]}
    assert list(rows) == ["good", "none", "bad", "lost"]
    assert [row["score"] for row in rows.values()] == [0.7, 0.5, 0.1, None]
    assert [row["kept"] for row in rows.values()] == [True, False, False, True]
    assert [row["trials"] for row in rows.values()] == [2, 1, 0, 0]
    assert rows["good"]["mean_val_accuracy"] == pytest.approx(0.7)
    assert rows["none"]["mean_val_accuracy"] == 0.4
    assert rows["bad"]["mean_val_accuracy"] is None
    assert [source for source, row in rows.items() if row["favourite"]] == ["good"]
    assert [source for source, row in rows.items() if row["won"]] == ["none"]


def test_a_search_without_affinity_has_nothing_to_say(uri):
    assert found(uri, None, drawn(1, "resnet8", "none", "finished")) is None
