"""Longer and shorter trainings."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs

from ktg.graph import dump, parse
from ktg.graph.length import with_epochs

TEACHER = {"model": "resnet8", "warmup_epochs": 1, "frozen_epochs": 2}


def make(epochs: int, node: dict[str, object], **train: object):
    """A graph whose target has a teacher of ten epochs and one that trains as long as itself."""
    return parse(
        {
            "data": {"name": "digits"},
            "train": {"epochs": epochs, **train},
            "nodes": {
                "n0": {"model": "resnet8", "source": "fractaldb", **node},
                "n1": {**TEACHER, "epochs": 10},
                "n2": TEACHER,
            },
            "edges": {"label -> n0": {}, "n1 -> n0": {}, "n2 -> n0": {}},
        }
    )


@given(graphs(), st.integers(1, 400))
def test_whatever_its_length_a_graph_can_be_written_and_read(graph, epochs):
    found = with_epochs(graph, epochs)
    assert parse(dump(found)) == found
    assert found.train.epochs == epochs
    assert with_epochs(graph, graph.train.epochs) == graph


@given(graphs(), st.integers(2, 5))
def test_twice_as_long_and_half_as_long_is_as_long(graph, times):
    there = with_epochs(graph, times * graph.train.epochs)
    back = with_epochs(there, graph.train.epochs)
    assert back.train.milestones == graph.train.milestones
    assert back.train.steps == graph.train.steps
    for name, node in graph.nodes.items():
        assert back.nodes[name].frozen_epochs == node.frozen_epochs
        assert back.nodes[name].unfreeze_every == node.unfreeze_every
        assert math.isclose(back.nodes[name].warmup_epochs or 0, node.warmup_epochs or 0)


def test_every_phase_keeps_its_share():
    graph = make(
        10,
        {"frozen_epochs": 5, "unfreeze_every": 2, "warmup_epochs": 1},
        milestones=[4, 6, 8],
        warmup_epochs=0.5,
        steps=70,
    )
    found = with_epochs(graph, 2)
    assert (found.train.steps, found.train.warmup_epochs) == (14, pytest.approx(0.1))
    assert found.train.milestones == (1,)  # at one place there is one
    target = found.nodes["n0"]
    assert (target.frozen_epochs, target.unfreeze_every) == (1, 1)
    assert target.warmup_epochs == pytest.approx(0.2)


def test_a_teacher_with_a_length_of_its_own_stays_as_it_is():
    graph = make(10, {})
    found = with_epochs(graph, 5)
    assert found.nodes["n1"] == graph.nodes["n1"]
    assert found.nodes["n2"].frozen_epochs == 1
    assert found.nodes["n2"].warmup_epochs == pytest.approx(0.5)


def test_a_backbone_that_never_learned_stays_frozen():
    for epochs in (1, 3, 20):
        found = with_epochs(make(10, {"frozen_epochs": 10}), epochs)
        assert found.nodes["n0"].frozen_epochs == epochs


def test_a_graph_without_epochs_stays_so():
    graph = make(0, {})
    assert with_epochs(graph, 7) == graph
