"""Longer and shorter trainings."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs

from ktg.graph import dump, parse
from ktg.graph.canonical import independent_graph
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


@pytest.mark.parametrize("own", [0, 1, 3, 30])
@pytest.mark.parametrize("epochs", [1, 5, 40])
def test_the_training_of_a_teacher_with_a_length_of_its_own_is_the_same(own, epochs):
    """Also what it has from `train`: the warm-up, and the milestones if only it uses them."""
    graph = parse(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 20, "warmup_epochs": 2, "milestones": [10, 15], "steps": 900},
            "nodes": {
                "n0": {"model": "resnet8"},
                "n1": {"model": "resnet20", "epochs": own, "schedule": "step"},
            },
            "edges": {"label -> n0": {}, "n1 -> n0": {}},
        }
    )
    found = with_epochs(graph, epochs)
    assert independent_graph(found, "n1") == independent_graph(graph, "n1")
    assert parse(dump(found)) == found
    assert found.train.warmup_epochs == pytest.approx(epochs / 10)
    both = replace(graph, train=replace(graph.train, schedule="step"))
    assert with_epochs(both, 10).train.milestones == (5, 7)


def test_what_nothing_would_change_is_not_written_into_a_teacher():
    graph = make(20, {})
    nodes = {name: replace(node, warmup_epochs=None) for name, node in graph.nodes.items()}
    found = with_epochs(replace(graph, nodes=nodes), 10)
    assert found.nodes["n1"] == nodes["n1"]


def test_a_backbone_that_never_learned_stays_frozen():
    for epochs in (1, 3, 20):
        found = with_epochs(make(10, {"frozen_epochs": 10}), epochs)
        assert found.nodes["n0"].frozen_epochs == epochs


def test_a_graph_without_epochs_stays_so():
    graph = make(0, {})
    assert with_epochs(graph, 7) == graph
