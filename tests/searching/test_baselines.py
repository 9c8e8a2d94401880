"""The baselines are what their names say, and lie in the space where it has room for them."""

import pytest

from ktg.graph import parse_space
from ktg.graph.canonical import live_nodes, open_edges, teachers
from ktg.searching.baselines import baselines


def space(nodes: int = 3, gates: tuple = ("through", "cutoff"), **extra):
    return parse_space(
        {
            "data": {"name": "digits"},
            "nodes": {
                f"n{i}": {"model": {"choice": ["resnet8", "resnet14"]}} for i in range(nodes)
            },
            "edges": {
                "label -> any": {"gate": {"choice": list(gates)}},
                "any -> any": {"gate": {"choice": list(gates)}},
            },
            **extra,
        }
    )


def test_alone_trains_the_target_and_nothing_else():
    graph = baselines(space())["alone"]
    assert live_nodes(graph) == ("n0",)
    assert list(open_edges(graph)) == [("label", "n0")]


def test_distillation_has_one_still_teacher():
    graph = baselines(space())["distillation"]
    assert live_nodes(graph) == ("n0", "n1")
    assert teachers(graph) == ("n1",)
    assert set(open_edges(graph)) == {("label", "n0"), ("n1", "n0")}


def test_in_mutual_learning_everyone_teaches_everyone():
    graph = baselines(space())["mutual learning"]
    assert len(open_edges(graph)) == 3 + 6
    assert {edge.gate for edge in open_edges(graph).values()} == {"through"}


def test_an_ensemble_is_compared_with_one_of_networks_that_do_not_know_each_other():
    found = baselines(space(target="ensemble"))
    assert list(found) == ["alone", "distillation", "mutual learning", "independent"]
    graph = found["independent"]
    assert set(open_edges(graph)) == {("label", f"n{i}") for i in range(3)}
    assert live_nodes(graph) == ("n0", "n1", "n2")
    assert live_nodes(found["alone"]) == ("n0",)
    assert "independent" not in baselines(space())


def test_a_space_of_one_node_has_one_baseline():
    assert list(baselines(space(nodes=1))) == ["alone"]


def test_models_are_the_defaults():
    graph = baselines(space())["mutual learning"]
    assert {node.model for node in graph.nodes.values()} == {"resnet8"}


@pytest.mark.parametrize(
    ("gates", "held"), [(("through", "cutoff"), True), (("linear", "correct"), False)]
)
def test_the_sampler_can_be_told_of_those_that_lie_in_the_space(gates, held):
    open_space = space(gates=gates)
    for graph in baselines(open_space).values():
        assert (open_space.locate(graph) is not None) is held
