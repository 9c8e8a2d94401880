"""What a search would cost."""

import pytest

from ktg.api.check import describe_graph, expected_epochs, unequal_classes
from ktg.graph import parse, parse_space


@pytest.mark.parametrize(
    ("scheduler", "epochs"), [("none", 8), ("asha", 1 + 1 / 2 + 2 / 4 + 4 / 8)]
)
def test_expected_epochs_counts_what_asha_stops(scheduler, epochs):
    space = parse_space(
        {
            "data": {"name": "digits"},
            "train": {"lr": {"log": [0.1, 1]}},
            "nodes": {"n0": {"model": "resnet8"}},
            "edges": {"label -> n0": {}},
            "search": {"scheduler": scheduler, "grace_epochs": 1, "reduction_factor": 2},
        }
    )
    assert expected_epochs(space, 8) == epochs


@pytest.mark.parametrize(
    ("teacher", "cost"),
    [
        ({"epochs": 3}, "1 network x 8 epochs for each seed, after n1 by 3 epochs of its own"),
        ({}, "1 network x 8 epochs for each seed, after n1 by 8 epochs of its own"),
        (
            {"head": "probe", "epochs": 0},
            "1 network x 8 epochs for each seed, after n1 by a linear probe",
        ),
    ],
)
def test_what_a_teacher_learns_first_is_no_part_of_each_epoch(teacher, cost):
    graph = parse(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 8},
            "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"} | teacher},
            "edges": {"label -> n0": {}, "n1 -> n0": {}},
        }
    )
    assert describe_graph(graph)["cost"] == cost


def test_an_imbalance_is_named_with_its_figures():
    (said,) = unequal_classes(("free", "crack"), (90, 10))
    assert "free 90.0 %, crack 10.0 %" in said
    assert "balanced_accuracy" in said
    assert list(unequal_classes(("a", "b", "c"), (29, 10, 12))) == []
