"""Candidates are checked before anything is measured, and bring the head they were trained with."""

from pathlib import Path

import pytest
import torch

from ktg.affinity.candidate import (
    build_candidate,
    count_source_classes,
    list_candidates,
    name_candidates,
    parse,
)
from ktg.data import open_data
from ktg.errors import SpecError, WeightsError
from ktg.graph import Data, Node, SourceFile, parse_space
from ktg.models.build import build_network


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a resnet8 with a head of 7 classes."""
    net = build_network(
        Node(model="resnet8"), {}, classes=7, image_size=8, mean=[0.5], std=[0.5], seed=5
    )
    torch.save(net.body.state_dict(), tmp_path / "seven.pth")
    return tmp_path / "seven.pth"


@pytest.fixture
def data(tiny: Path):
    return open_data(Data(path=str(tiny)))


def test_names_are_short_where_that_tells_them_apart(weights):
    (weights.parent / "other").mkdir()
    twin = weights.parent / "other" / "seven.pth"
    twin.write_bytes(weights.read_bytes())
    assert [one.name for one in parse(["resnet8@none", f"resnet8@{weights}"], {})] == [
        "resnet8@none",
        "resnet8@seven.pth",
    ]
    both = parse([f"resnet8@{weights}", f"resnet8@{twin}"], {})
    assert [one.name for one in both] == [f"resnet8@{weights}", f"resnet8@{twin}"]


def test_sources_may_be_named(weights):
    (one,) = parse(["resnet8@mine"], {"mine": SourceFile(path=str(weights))})
    assert one.node == Node(model="resnet8", source="mine")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("resnet8", "not MODEL@SOURCE"),
        ("@none", "not MODEL@SOURCE"),
        ("resnt18@none", "Did you mean 'resnet18'"),
        ("resnet8@imagenet", "no ImageNet weights"),
        ("resnet8@gone.pth", "no file gone.pth"),
    ],
)
def test_a_mistake_is_said(text, problem):
    with pytest.raises(SpecError, match=problem):
        parse([text], {})


def test_the_head_of_the_source_comes_along(weights, data):
    (one,) = parse([f"resnet8@{weights}"], {})
    assert count_source_classes(one, {}, 8) == 7
    net, has_head = build_candidate(one, {}, data)
    assert has_head
    assert torch.equal(
        net.body.linear.weight, torch.load(weights, weights_only=True)["linear.weight"]
    )


def test_fresh_weights_and_bare_backbones_have_no_head(weights, data):
    assert build_candidate(parse(["resnet8@none"], {})[0], {}, data)[1] is False
    bare = {
        name: value
        for name, value in torch.load(weights, weights_only=True).items()
        if "linear" not in name
    }
    torch.save(bare, weights)
    assert build_candidate(parse([f"resnet8@{weights}"], {})[0], {}, data)[1] is False


def test_weights_of_another_network_are_refused(weights, data):
    with pytest.raises(WeightsError, match="another network"):
        build_candidate(parse([f"resnet14@{weights}"], {})[0], {}, data)


def test_candidates_share_the_settings_of_a_node():
    like = Node(model="resnet8", frozen_epochs=2, model_args={"width": 2})
    same, other = parse(["resnet8@none", "resnet14@none"], {}, like=like)
    assert same.node == like
    assert other.node == Node(model="resnet14", frozen_epochs=2)


def test_candidates_that_look_alike_are_told_apart():
    nodes = [
        Node(model="a", source="x"),
        Node(model="a", source="x", model_args={"pad": "same"}),
        Node(model="b", source="x", lr=0.1),
        Node(model="b", source="x", lr=0.2),
    ]
    assert [one.name for one in name_candidates(nodes)] == [
        "a@x",
        "a@x (pad=same)",
        "b@x #1",
        "b@x #2",
    ]


def space(node, **train):
    return parse_space(
        {
            "data": {"name": "digits"},
            "train": train,
            "nodes": {"n0": node, "n1": {"model": {"choice": ["resnet8", "resnet20"]}}},
            "edges": {"label -> any": {}},
        }
    )


def test_the_candidates_of_a_space_are_all_that_its_target_can_be():
    node = {
        "model": {"choice": ["a", "b"]},
        "source": {"choice": ["none", "imagenet"]},
        "lr": {"log": [0.01, 1]},
    }
    found = list_candidates(space(node, weight_decay={"choice": [0, 0.1]}))
    assert [one.name for one in found] == ["a@none", "a@imagenet", "b@none", "b@imagenet"]
    assert {one.node.lr for one in found} == {0.1}
    whole = {"choice": [{"model": "a", "frozen_epochs": 1}, {"model": "b", "source": "imagenet"}]}
    assert [one.node.frozen_epochs for one in list_candidates(space(whole))] == [1, 0]


def test_what_a_space_refuses_is_no_candidate():
    refused = space({"model": {"choice": ["a", "b"]}, "source": {"choice": ["none", "x"]}})
    refused = refused.narrow({}, [("n0", "b", "x")])
    assert [one.name for one in list_candidates(refused)] == ["a@none", "a@x", "b@none"]
