"""What affinity holes are to choose from."""

import pytest

from ktg.errors import MissingSourceError, SpecError
from ktg.graph import parse_space
from ktg.graph.affinity_holes import list_candidates

HAS = {"big": ["zoo/a", "zoo/b"], "small": ["zoo/b", "zoo/c"], "lonely": []}


def space(among, model="big", expand=lambda pattern, model: HAS[model], **sections):
    node = {"model": model, "source": {"affinity": {"among": among}}}
    raw = {
        "data": {"name": "digits"},
        "nodes": {"n0": node},
        "edges": {"label -> n0": {}},
        **sections,
    }
    return parse_space(raw, None, expand)


def test_a_pattern_stands_for_what_the_zoo_has_of_the_model():
    found = space(["none", "zoo/*", "zoo/a"])
    assert found.holes["nodes.n0.source"].options == ("none", "zoo/a", "zoo/b")
    assert found.template["nodes"]["n0"]["source"]["affinity"]["among"] == [
        "none",
        "zoo/a",
        "zoo/b",
    ]
    assert found.size() == 3
    assert found.default() == {"nodes.n0.source": "none"}
    again = found.bind({"nodes.n0.source": "zoo/b"})
    assert found.locate(again) == {"nodes.n0.source": "zoo/b"}


def test_fractaldb_is_one_candidate_by_either_name():
    def has(pattern, model):
        return ["zoo/a", "zoo/fractaldb"]

    assert space(["fractaldb", "zoo/*"], expand=has).holes["nodes.n0.source"].options == (
        "fractaldb",
        "zoo/a",
    )
    assert space(["zoo/*"], expand=has).holes["nodes.n0.source"].options == (
        "zoo/a",
        "zoo/fractaldb",
    )
    mine = space(["fractaldb", "zoo/*"], expand=has, sources={"fractaldb": {"path": "mine.pth"}})
    assert mine.holes["nodes.n0.source"].options == ("fractaldb", "zoo/a", "zoo/fractaldb")


def test_without_a_zoo_patterns_stay():
    assert space(["none", "zoo/*"], expand=None).holes["nodes.n0.source"].options == (
        "none",
        "zoo/*",
    )


def test_each_model_has_its_own():
    found = space(["zoo/*"], {"choice": ["big", "small", "lonely"]})
    assert list_candidates(found) == {
        "n0": [("big", "zoo/a"), ("big", "zoo/b"), ("small", "zoo/b"), ("small", "zoo/c")],
    }
    with pytest.raises(
        MissingSourceError, match=r"nodes\.n0\.source: zoo/a has no weights for small"
    ):
        found.bind({"nodes.n0.model": "small", "nodes.n0.source": "zoo/a"})
    assert found.bind(found.default()).nodes["n0"].source == "zoo/a"


def test_a_zoo_without_anything_for_the_default_is_a_mistake():
    problem = (
        r"nodes\.n0\.source\.affinity\.among: zoo/\*: the zoo has nothing of the kind for 'lonely'"
    )
    with pytest.raises(SpecError, match=problem):
        space(["zoo/*"], "lonely")


def test_an_option_that_is_wrong_is_named():
    def refuse(graph):
        if graph.nodes["n0"].source == "b":
            raise SpecError("nodes.n0.source", "'b' is not a source")

    node = {"model": "big", "source": {"affinity": {"among": ["none", "b"]}}}
    with pytest.raises(
        SpecError, match=r"nodes\.n0\.source\.affinity\.among\[1\]: 'b' is not a source"
    ):
        parse_space(
            {"data": {"name": "digits"}, "nodes": {"n0": node}, "edges": {"label -> n0": {}}},
            refuse,
        )
