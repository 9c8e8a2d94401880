"""Curves of a real search, and what is shown where an older version recorded less."""

import dataclasses

import pytest
from records import search, trial, written

from ktg.graph import parse
from ktg.intervals import binomial_interval
from ktg.reporting.against_baselines import compare_with_baselines
from ktg.reporting.cost import sum_costs
from ktg.reporting.curves import (
    read_gate_curves,
    read_node_curves,
    read_scores,
    summarize_end,
    trace_best,
)
from ktg.searching.history import read_last_search
from ktg.tracking import find_experiment

GRAPH = parse(
    {
        "data": {"name": "digits"},
        "train": {"epochs": 8},
        "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet14"}},
        "edges": {"label -> n0": {}, "n1 -> n0": {}},
    }
)


@pytest.mark.slow
def test_nodes_end_where_the_trial_does(record):
    best, graph = record.best, record.best.graph
    curves = {curve["node"]: curve for curve in read_node_curves(record, graph)}
    assert curves[graph.target]["val_accuracy"] == list(best.curve)
    assert all(len(curve["train_accuracy"]) == best.epochs for curve in curves.values())
    end = {row["node"]: row["val_accuracy"] for row in summarize_end(record, graph, 32)["nodes"]}
    assert end == {name: curve["val_accuracy"][-1] for name, curve in curves.items()}


@pytest.mark.slow
def test_gates_open_as_they_are_defined(record):
    graph = record.best.graph
    for curve in read_gate_curves(record, graph):
        openness = curve["openness"]
        assert len(openness) == len(curve["loss"]) == record.best.epochs
        if curve["gate"] == "through":
            assert set(openness) == {1.0}
        if curve["gate"] == "linear":
            assert openness == sorted(openness)


@pytest.mark.slow
def test_the_best_so_far_ends_at_the_best_and_at_the_whole_cost(record):
    points = trace_best(record)
    assert len(points) == len(record.trials)
    assert points[-1]["best"] == record.best.accuracy
    assert points[-1]["epochs"] == sum_costs(record)["epochs"]
    assert points[-1]["device_s"] == pytest.approx(sum_costs(record)["device_s"])
    known = [point["best"] for point in points if point["best"] is not None]
    assert known == sorted(known)


def test_all_goes_by_the_metric_of_the_search(new_store):
    uri = new_store()
    trials = [("finished", [0.5, 0.8, 0.6]), ("finished", [0.4, 0.5, 0.7])]
    written(uri, "made", *trials, metric="loss")
    record = read_last_search(find_experiment("made", uri))
    first, second = sorted(record.trials, key=lambda one: one.number)
    assert read_scores(first) == pytest.approx([-0.5, -0.2, -0.4])
    points = trace_best(record)
    assert {point["value"]: point["accuracy"] for point in points} == pytest.approx(
        {0.4: 0.6, 1 - 0.7: 0.7}
    )
    assert points[-1]["best"] == pytest.approx(0.3)
    (best,) = compare_with_baselines(record, None)
    assert (best["trial"], best["val_accuracy"]) == (second.name, 0.7)
    assert best["value"] == pytest.approx(0.3)


def test_only_finished_trials_can_be_the_best_so_far():
    points = trace_best(
        search(trial(2), trial(1, "stopped", (0.99,)), trial(3, "failed", ()), trial(4, "running"))
    )
    assert [(point["trial"], point["accuracy"], point["best"]) for point in points] == [
        ("trial-0001", 0.99, None),
        ("trial-0002", 0.8, 0.8),
        ("trial-0003", None, 0.8),
    ]


def with_metrics(**metrics):
    found = {
        "nodes.n0.val_accuracy": 0.75,
        "nodes.n0.val_loss": 0.5,
        "nodes.n1.val_accuracy": 0.5,
        **metrics,
    }
    return search(trial(1, metrics=found))


def test_the_ensemble_stands_beside_its_networks():
    record = with_metrics(**{"ensemble.val_accuracy": 0.8, "ensemble.val_loss": 0.4})
    assert summarize_end(record, GRAPH, 100) == {
        "nodes": [
            {
                "node": "n0",
                "model": "resnet8",
                "val_accuracy": 0.75,
                "val_interval": binomial_interval(0.75, 100),
                "val_loss": 0.5,
            },
            {
                "node": "n1",
                "model": "resnet14",
                "val_accuracy": 0.5,
                "val_interval": binomial_interval(0.5, 100),
                "val_loss": None,
            },
        ],
        "ensemble": {
            "val_accuracy": 0.8,
            "val_interval": binomial_interval(0.8, 100),
            "val_loss": 0.4,
        },
        "ensemble_counts": False,
    }


def test_an_older_version_s_search_has_no_ensemble():
    assert summarize_end(with_metrics(), GRAPH, None)["ensemble"] is None
    assert summarize_end(with_metrics(), GRAPH, None)["nodes"][0]["val_interval"] is None


def test_one_network_is_no_ensemble():
    record = with_metrics(**{"ensemble.val_accuracy": 0.75})
    alone = dataclasses.replace(GRAPH, nodes={"n0": GRAPH.nodes["n0"]}, edges={})
    assert summarize_end(record, alone, 100)["ensemble"] is None
