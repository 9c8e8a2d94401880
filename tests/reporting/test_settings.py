"""Settings of graphs: all that is not at its default, and where the best is not as alone."""

import pytest

from ktg.graph import parse
from ktg.graph.canonical import live_nodes, open_edges
from ktg.reporting.settings import compare_with_alone, list_settings


def graph(**n0):
    return parse(
        {
            "version": 1,
            "data": {"name": "digits", "per_class": 10},
            "train": {"epochs": 3, "lr": 0.2},
            "nodes": {
                "n0": {"model": "resnet8", **n0},
                "n1": {"model": "resnet8"},
                "n2": {"model": "resnet14"},
            },
            "edges": {
                "label -> n0": {},
                "label -> n1": {"gate": "linear"},
                "n1 -> n0": {"loss": "kl", "temperature": 2.0},
                "n2 -> n0": {"loss": "kl", "gate": "cutoff"},
            },
        }
    )


def test_every_setting_that_is_not_at_its_default_and_nothing_dead():
    found = list_settings(graph(frozen_norm=True, lr=0.01))
    assert found["nodes"] == {
        "n0": {"model": "resnet8", "frozen_norm": True, "lr": 0.01},
        "n1": {"model": "resnet8"},
    }
    assert found["train"] == {"epochs": 3, "lr": 0.2}
    assert found["edges"] == {
        "label -> n0": {"gate": "through", "loss": "ce"},
        "label -> n1": {"gate": "linear", "loss": "ce"},
        "n1 -> n0": {"gate": "through", "loss": "kl", "temperature": 2.0},
    }


@pytest.mark.slow
def test_the_best_graph_of_a_search_beside_alone(record):
    rows = compare_with_alone(record)
    alone = next(one.graph for one in record.finished if one.baseline == "alone")
    best = record.best.graph
    told = {row["place"]: row["values"] for row in rows}
    assert all(first != second for first, second in told.values())
    new = set(live_nodes(best)) - set(live_nodes(alone))
    assert {f"nodes.{name}.model" for name in new} <= told.keys()
    for pair in open_edges(best).keys() - open_edges(alone).keys():
        if pair[1] in live_nodes(best):
            assert told[f"edges.{pair[0]}.{pair[1]}.gate"][1] is None
