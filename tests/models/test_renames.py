from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ktg.models.architecture import create
from ktg.models.renames import mobilenet_v2, translate
from ktg.models.weights import load, read_state
from ktg.spec import Node


def randomised(model: str, seed: int) -> nn.Module:
    """A network whose batch norms are not the identity, so that a swapped pair of them shows."""
    torch.manual_seed(seed)
    network = create(Node(model=model), classes=10, size=64).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return network


@pytest.mark.parametrize(
    ("giver", "taker"),
    [("mobilenet_v2", "mobilenetv2_100"), ("mobilenetv2_100", "mobilenet_v2"), ("torchvision/resnet18", "resnet18")],
)
def test_both_libraries_compute_the_same_from_the_same_weights(giver, taker):
    source, target = randomised(giver, 0), randomised(taker, 1)
    images = torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        before, wanted = target(images), source(images)
        load(target, source.state_dict(), frozenset(), "test")
        torch.testing.assert_close(target(images), wanted, rtol=1e-4, atol=1e-5)
        assert not torch.allclose(before, wanted, rtol=1e-2)


def test_the_real_torchvision_file_computes_the_same_in_timm(shared: Path):
    state = read_state(shared / "weights/mobilenet_v2.imagenet.torchvision.pth")
    networks = [
        create(Node(model=model), classes=1000, size=96).eval() for model in ("mobilenet_v2", "mobilenetv2_100")
    ]
    for network in networks:
        load(network, state, frozenset(), "test")
    images = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        theirs, ours = (network(images) for network in networks)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_table_of_mobilenet_is_one_to_one():
    table = mobilenet_v2()
    assert len(set(table.values())) == len(table) == 52 * 2 + 1


def test_torchvisions_old_names_of_densenet_and_vision_transformer():
    wanted = ["features.denseblock1.denselayer2.norm1.weight", "encoder.layers.encoder_layer_3.mlp.3.bias"]
    old = {
        "features.denseblock1.denselayer2.norm.1.weight": 1,
        "encoder.layers.encoder_layer_3.mlp.linear_2.bias": 2,
    }
    assert translate(old, wanted) == dict(zip(wanted, (1, 2), strict=True))


def test_auxiliary_classifiers_are_left_out_unless_the_network_has_them():
    state = {"conv.weight": 1, "aux1.fc1.weight": 2, "AuxLogits.fc.weight": 3}
    assert translate(state, ["conv.weight"]) == {"conv.weight": 1}
    assert translate(state, state.keys()) == state


@given(st.dictionaries(st.text(max_size=20), st.integers(), max_size=5))
def test_names_that_fit_already_or_nowhere_stay_as_they_are(state):
    assert translate(state, state.keys()) == state
    assert translate(state, []) == {
        key: v for key, v in state.items() if not key.startswith(("aux1.", "aux2.", "AuxL"))
    }
