"""Weights for helper nodes that say `auto`: ranked beside the target's, and with a reason."""

import dataclasses

import pytest

from ktg.data.open import open_data
from ktg.errors import SpecError
from ktg.graph import Node, SourceFile, parse
from ktg.proposing.helpers import choose_helpers
from ktg.proposing.ranking import rank_weights
from ktg.proposing.weights_here import find_weights_here
from ktg.zoo import default_zoo

AUTO = {"model": "auto"}


def make(photos, **nodes):
    return parse(
        {
            "data": {"path": str(photos), "size": 32, "batch_size": 8},
            "train": {"epochs": 1},
            "nodes": {"n0": {"model": "resnet8"}, **nodes},
            "edges": {"label -> n0": {}, **{f"{name} -> n0": {} for name in nodes}},
        }
    )


def choose(graph, status=lambda _: None, **more):
    asking = {name: node for name, node in graph.nodes.items() if node.source == "auto"}
    return choose_helpers(graph, asking, open_data(graph.data), status, **more)


def with_target(graph, source):
    target = Node(model="resnet8", source=source)
    return dataclasses.replace(graph, nodes={**graph.nodes, "n0": target})


def test_the_weights_whose_probe_is_best_are_taken(photos, in_zoo):
    for seed, name in enumerate(("a", "b", "c")):
        in_zoo(name, "resnet14" if name == "b" else "resnet8", seed)
    graph = make(photos, n1=AUTO)
    here, _ = find_weights_here({}, 32)
    data = open_data(graph.data)
    scores = rank_weights(here, {}, data, seconds=60, status=lambda _: None).scores
    chosen = choose(graph)["n1"]
    assert chosen.weights == next(iter(scores))
    share = f"{100 * scores[chosen.weights]:.1f} % on {len(data.train)} images"
    assert chosen.why == f"a linear probe has {share}; of 3 sets of weights on this machine"


def test_what_a_node_says_itself_narrows_the_choice(photos, in_zoo):
    in_zoo("a", "resnet8")
    in_zoo("b", "resnet14")
    found = choose(make(photos, n1={"model": "resnet14", "source": "auto"}))
    assert found["n1"].weights.name == "resnet14@zoo/b"
    graph = make(photos, n1={"model": "auto", "source": "zoo/a", "input_size": 24})
    (named,) = choose_helpers(
        graph, {"n1": graph.nodes["n1"]}, open_data(graph.data), lambda _: None
    ).values()
    assert named.weights.name == "resnet8@zoo/a at 24 pixels"


def test_the_second_of_two_gets_what_the_first_has_left(photos, in_zoo):
    in_zoo("a", "resnet8", 0)
    in_zoo("b", "resnet8", 1)
    found = choose(make(photos, n1=AUTO, n2=AUTO, n3=AUTO))
    sources = [one.weights.source for one in found.values()]
    assert sorted(sources[:2]) == ["zoo/a", "zoo/b"]
    assert sources[2] == sources[0]  # nothing is left


def test_what_the_target_has_is_said_beside_it(photos, in_zoo):
    in_zoo("a", "resnet8", 0)
    in_zoo("b", "resnet14", 1)
    graph = make(photos, n1={"model": "resnet14", "source": "auto"})
    assert ", the target's " in choose(with_target(graph, "zoo/a"))["n1"].why


def test_each_node_gets_weights_whatever_time_it_takes_to_look_at_them(photos, in_zoo):
    for seed, model in enumerate(("resnet8", "resnet14", "resnet20"), 41):
        in_zoo(f"of_{model}", model, seed)
    asking = {
        name: {"model": model, "source": "auto"}
        for name, model in (("n1", "resnet14"), ("n2", "resnet20"))
    }
    found = choose(with_target(make(photos, **asking), "zoo/of_resnet8"), seconds=0.0)
    assert [one.weights.model for one in found.values()] == ["resnet14", "resnet20"]


def test_weights_that_cannot_be_used_are_named_with_the_reason(
    photos, in_zoo, weights, monkeypatch
):
    in_zoo("a", "resnet14", 51)

    def lose(_):
        default_zoo().weights_file("a/resnet14").unlink(missing_ok=True)

    said = r"auto: none of the weights on this machine can be used \(resnet14@zoo/a: .* is missing"
    with pytest.raises(SpecError, match=said):
        choose(make(photos, n1=AUTO), lose)  # when they are about to be measured
    graph = make(photos, n1={"model": "resnet20", "source": "auto"})
    other = {"resnet20": SourceFile(path=str(weights("resnet8")), mean=(0.5,), std=(0.5,))}
    said = r"auto: none of the weights for resnet20 on this machine can be used \(resnet20@imagenet"
    with pytest.raises(SpecError, match=said):
        choose(dataclasses.replace(graph, weights=other))
    in_zoo("b", "resnet8", 52)
    monkeypatch.setattr("ktg.proposing.helpers.limit_parameters", lambda _: 1000)
    with pytest.raises(SpecError, match="resnet8@zoo/b: 0 M parameters are too many here"):
        choose(make(photos, n1=AUTO))


def test_without_weights_one_sentence_says_what_to_do(photos):
    for node, place, wanted in (
        (AUTO, "n1.source", "no weights that fit"),
        ({"model": "resnet14", "source": "auto"}, "n1.source", "no weights for resnet14 that fit"),
    ):
        with pytest.raises(SpecError) as told:
            choose(make(photos, n1=node))
        assert told.value.path == f"nodes.{place}"
        assert told.value.problem.startswith(f"auto: {wanted} are on this machine; name a model")
