"""Candidates are checked before anything is measured, and bring the head they were trained with."""

from pathlib import Path

import pytest
import torch

from ktg.affinity.candidate import network, parse, source_classes
from ktg.data import open_data
from ktg.errors import SpecError, WeightsError
from ktg.models.network import build
from ktg.spec import Data, Node, SourceFile


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Weights of a resnet8 with a head of 7 classes."""
    net = build(Node(model="resnet8"), {}, classes=7, image_size=8, mean=[0.5], std=[0.5], seed=5)
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
    assert source_classes(one, {}, 8) == 7
    net, has_head = network(one, {}, data)
    assert has_head
    assert torch.equal(net.body.linear.weight, torch.load(weights, weights_only=True)["linear.weight"])


def test_fresh_weights_and_bare_backbones_have_no_head(weights, data):
    assert network(parse(["resnet8@none"], {})[0], {}, data)[1] is False
    bare = {name: value for name, value in torch.load(weights, weights_only=True).items() if "linear" not in name}
    torch.save(bare, weights)
    assert network(parse([f"resnet8@{weights}"], {})[0], {}, data)[1] is False


def test_weights_of_another_network_are_refused(weights, data):
    with pytest.raises(WeightsError, match="another network"):
        network(parse([f"resnet14@{weights}"], {})[0], {}, data)
