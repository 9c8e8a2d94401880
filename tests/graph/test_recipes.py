"""What a node trains like when the file does not say."""

import dataclasses

import pytest

from ktg.graph import Node, parse, parse_space
from ktg.graph.recipes import (
    FROM_FORMULA,
    FROM_NOTHING,
    PRETRAINED,
    RECIPE_FIELDS,
    TRANSFORMER_LR,
    fill_recipes,
    find_recipe,
    with_weights,
)

NODE = {"model": "resnet18", "source": "imagenet"}


def test_a_recipe_sets_fields_of_nodes_only():
    own = {field.name for field in dataclasses.fields(Node)}
    assert own >= {*RECIPE_FIELDS} == {*PRETRAINED, *FROM_NOTHING, *FROM_FORMULA}


@pytest.mark.parametrize(
    ("node", "train"),
    [
        ({"model": "resnet18", "lr": 0.1}, {}),
        ({"model": "resnet18"}, {"optimizer": "sgd"}),
        (NODE | {"lr": 0.1}, {}),
        (NODE | {"optimizer": "sgd"}, {}),
        (NODE, {"lr": 0.1}),
        (NODE, {"optimizer": "sgd", "epochs": 3}),
        ("no mapping", {}),
    ],
)
def test_who_says_a_rate_or_an_optimizer_gets_none(node, train):
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
    assert space.bind(values).nodes["n0"] == Node(model="resnet18", **FROM_NOTHING)
    found = space.bind(values | {"nodes.n0.source": "imagenet"})
    assert found.nodes["n0"] == Node(**NODE, **PRETRAINED)
    assert space.locate(found) == values | {"nodes.n0.source": "imagenet"}
    old = parse_space(raw | {"version": 1}).bind(values | {"nodes.n0.source": "imagenet"})
    assert old.nodes["n0"] == Node(**NODE)
    second = parse_space(raw | {"version": 2})
    assert second.bind(values).nodes["n0"] == Node(model="resnet18")
    assert second.bind(values | {"nodes.n0.source": "imagenet"}) == found


def test_a_transformer_from_nothing_has_a_smaller_rate():
    for model in ("vit_tiny_patch16_224", "timm/deit_tiny_patch16_224", "hf-hub:timm/swin_t"):
        found = find_recipe({"model": model}, {})
        assert found == {**FROM_NOTHING, "lr": TRANSFORMER_LR}
        assert find_recipe({"model": model, "source": "imagenet"}, {}) == PRETRAINED
        assert find_recipe({"model": model}, {}, version=2) == {}
    for model in ("resnet18", "mobilenetv2_035", "torchvision/resnet18", "convnext_tiny"):
        assert find_recipe({"model": model}, {}) == FROM_NOTHING


@pytest.mark.parametrize(
    ("source", "recipe"),
    [
        ("none", FROM_NOTHING),
        ("fractaldb", FROM_FORMULA),
        ("zoo/fractals", FROM_FORMULA),
        ("zoo/fractaldb", FROM_FORMULA),
        ("zoo/svd", FROM_FORMULA),
        ("imagenet", PRETRAINED),
        ("zoo/animals", PRETRAINED),
        ("hf-hub:timm/resnet18.a1_in1k", PRETRAINED),
        ("weights/mine.pth", PRETRAINED),
    ],
)
def test_each_family_of_sources_has_its_recipe(source, recipe):
    node = {"model": "resnet18", "source": source}
    assert find_recipe(node, {}) == find_recipe(node, {}, version=3) == recipe
    assert find_recipe(node, {}, version=2) == ({} if source == "none" else PRETRAINED)
    assert find_recipe(node, {}, version=1) == {}


def test_another_source_brings_its_recipe_unless_the_node_says_how_it_trains():
    by_recipe = parse(raw_of({"model": "auto", "source": "auto"})).nodes["n1"]
    assert with_weights(by_recipe, "resnet8", "zoo/fractals") == Node(
        model="resnet8", source="zoo/fractals", **FROM_FORMULA
    )
    fresh = parse(raw_of({"model": "resnet8"})).nodes["n1"]
    assert with_weights(fresh, "resnet18", "imagenet") == Node(**NODE, **PRETRAINED)
    own = parse(raw_of({"model": "resnet8", "lr": 0.2})).nodes["n1"]
    assert with_weights(own, "resnet18", "imagenet") == Node(**NODE, lr=0.2)
    by_train = parse(raw_of({"model": "resnet8"}) | {"train": {"lr": 0.2}}).nodes["n1"]
    assert with_weights(by_train, "resnet18", "imagenet") == Node(**NODE)


@pytest.mark.parametrize("source", ["zoo/fractals", "imagenet"])
@pytest.mark.parametrize(
    ("said", "train"),
    [
        ({"weight_decay": 0.05, "clip_norm": 5.0, "head": "new"}, {}),
        ({"warmup_epochs": 3, "frozen_norm": False}, {"clip_norm": 2.0}),
        ({}, {"weight_decay": 0.01, "warmup_epochs": 3}),
        ({"lr": 0.01}, {"weight_decay": 0.01}),
        ({}, {"optimizer": "sgd"}),
    ],
)
def test_a_chosen_source_leaves_what_node_and_train_say(said, train, source):
    asking = raw_of({"model": "auto", "source": "auto", **said}) | {"train": train}
    named = raw_of({"model": "resnet18", "source": source, **said}) | {"train": train}
    # As a search reads it, whose template has the names in place of `auto`.
    expected = parse(named).nodes["n1"]
    assert with_weights(parse(asking).nodes["n1"], "resnet18", source) == expected


def raw_of(helper: dict) -> dict:
    edges = {"label -> n0": {}, "n1 -> n0": {}}
    nodes = {"n0": {"model": "resnet8"}, "n1": helper}
    return {"data": {"name": "digits"}, "nodes": nodes, "edges": edges}
