"""What networks cost, and what a teacher was good for."""

import pytest

from ktg.graph import parse
from ktg.models.architectures import build_body
from ktg.reporting.networks import describe_networks, describe_teacher
from ktg.searching.worth import Gap, TeacherWorth

GRAPH = parse(
    {
        "data": {"name": "digits", "size": 32},
        "nodes": {
            "n0": {"model": "resnet8"},
            "n1": {"model": "resnet14"},
            "n2": {"model": "resnet8"},
            "n3": {"model": "resnet8"},
        },
        "edges": {
            "label -> n0": {},
            "n1 -> n0": {"loss": "kl"},
            "label -> n2": {},
            "n2 -> n0": {"loss": "kl"},
            "n3 -> n0": {"loss": "kl", "gate": "cutoff"},
        },
    }
)
END = [{"node": f"n{place}", "val_accuracy": 0.7 + place / 10} for place in range(3)]


def test_sizes_roles_and_speed_of_live_networks():
    rows = describe_networks(GRAPH, END, classes=10)
    assert [(row["node"], row["role"]) for row in rows] == [
        ("n0", "target"),
        ("n1", "teacher"),
        ("n2", "auxiliary"),
    ]
    body = build_body(GRAPH.nodes["n1"], classes=10, size=32)
    count = sum(each.numel() for each in body.parameters())
    assert rows[1]["parameters"] == count
    assert rows[1]["megabytes"] == pytest.approx(4 * count / 1e6)
    assert all(row["milliseconds"] > 0 for row in rows)
    assert describe_networks(GRAPH, END, classes=10) == rows  # measured once in a process


def test_a_teacher_is_told_with_the_time_that_it_takes():
    rows = describe_networks(GRAPH, END, classes=10)
    worth = TeacherWorth("n2", "resnet8", "100 images", Gap(-0.15, (-0.2, -0.1)), None, 1.0)
    found = describe_teacher(rows, worth)
    assert found["sentence"] == worth.sentence
    assert found["minus_teacher"] == -0.15
    assert found["times_milliseconds"] == rows[2]["milliseconds"] / rows[0]["milliseconds"]
    assert describe_teacher(rows, None) is None
