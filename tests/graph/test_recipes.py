"""What a node trains like when the file does not say."""

import dataclasses

import pytest

from ktg.graph import Node, parse_space
from ktg.graph.recipes import PRETRAINED, fill_recipes, find_recipe

NODE = {"model": "resnet18", "source": "imagenet"}


def test_a_recipe_sets_fields_of_nodes_only():
    assert PRETRAINED.keys() <= {field.name for field in dataclasses.fields(Node)}


@pytest.mark.parametrize(
    ("node", "train"),
    [
        ({"model": "resnet18"}, {}),
        (NODE | {"source": "none"}, {}),
        (NODE | {"lr": 0.1}, {}),
        (NODE | {"optimizer": "sgd"}, {}),
        (NODE, {"lr": 0.1}),
        (NODE, {"optimizer": "sgd", "epochs": 3}),
        ("no mapping", {}),
    ],
)
def test_who_starts_from_nothing_or_says_a_rate_or_an_optimizer_gets_none(node, train):
    assert find_recipe(node, train) == {}
    assert fill_recipes({"n0": node}, train) == {"n0": node}


def test_what_node_or_train_say_stays():
    node = NODE | {"head": "new", "lr": None}
    found = fill_recipes({"n0": node}, {"weight_decay": 0.1, "clip_norm": None})["n0"]
    assert "weight_decay" not in found
    assert (found["head"], found["clip_norm"]) == ("new", PRETRAINED["clip_norm"])
    assert (found["lr"], found["optimizer"]) == (PRETRAINED["lr"], PRETRAINED["optimizer"])


def test_in_a_space_each_trial_has_the_recipe_of_its_own_source():
    raw = {
        "data": {"name": "digits"},
        "train": {"epochs": {"choice": [2, 0]}},
        "nodes": {"n0": {"model": "resnet18", "source": {"choice": ["none", "imagenet"]}}},
        "edges": {"label -> n0": {}},
    }
    space = parse_space(raw)
    values = {"train.epochs": 2, "nodes.n0.source": "none"}
    assert space.bind(values).nodes["n0"] == Node(model="resnet18")
    found = space.bind(values | {"nodes.n0.source": "imagenet"})
    assert found.nodes["n0"] == Node(**NODE, **PRETRAINED)
    assert space.locate(found) == values | {"nodes.n0.source": "imagenet"}
    old = parse_space(raw | {"version": 1}).bind(values | {"nodes.n0.source": "imagenet"})
    assert old.nodes["n0"] == Node(**NODE)
