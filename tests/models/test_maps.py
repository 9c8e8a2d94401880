"""The last map of each kind of network, in one layout."""

import pytest
import torch
from torch import nn

from ktg.errors import SpecError
from ktg.graph import Node
from ktg.models.build import build_network
from ktg.models.maps import Layer, find_last_map
from ktg.models.network import Network


def plain(model: str, size: int = 64) -> Network:
    node = Node(model=model, input_size=size)
    return build_network(node, {}, classes=3, image_size=size, mean=[0.5], std=[0.25], seed=0)


@pytest.mark.parametrize(
    ("model", "size", "layer"),
    [
        ("resnet8", 32, Layer("layer3", "NCHW", 0, (64, 8, 8))),
        ("wide_resnet16_1", 32, Layer("bn", "NCHW", 0, (64, 8, 8))),
        ("torchvision/alexnet", 224, Layer("features.11", "NCHW", 0, (256, 13, 13))),
        ("torchvision/squeezenet1_1", 64, Layer("features", "NCHW", 0, (512, 3, 3))),
        ("torchvision/resnet18", 64, Layer("layer4", "NCHW", 0, (512, 2, 2))),
        ("resnet10t", 64, Layer("layer4", "NCHW", 0, (512, 2, 2))),
        ("mobilenetv2_035", 64, Layer("bn2", "NCHW", 0, (1280, 2, 2))),
        ("mobilenetv3_small_050", 64, Layer("blocks", "NCHW", 0, (288, 2, 2))),
        ("vit_tiny_patch16_224", 64, Layer("norm", "NTC", 1, (192, 4, 4))),
        ("deit_tiny_distilled_patch16_224", 64, Layer("norm", "NTC", 2, (192, 4, 4))),
        ("swin_tiny_patch4_window7_224", 224, Layer("norm", "NHWC", 0, (768, 7, 7))),
    ],
)
def test_the_layer_before_pooling_and_head(model, size, layer):
    network = plain(model, size)
    assert find_last_map(network) == layer
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_tokens_come_to_their_places_without_the_first():
    tokens = torch.arange(10.0).view(1, 10, 1)
    assert torch.equal(
        Layer("", "NTC", 1, (1, 3, 3)).maps(tokens), torch.arange(1.0, 10).view(1, 1, 3, 3)
    )


def test_channels_last_come_first():
    maps = torch.randn(2, 3, 4, 4)
    assert torch.equal(Layer("", "NHWC", 0, (3, 4, 4)).maps(maps.permute(0, 2, 3, 1)), maps)


def test_a_network_without_a_map_is_refused():
    body = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    with pytest.raises(SpecError, match="no map of features"):
        find_last_map(
            Network(body, size=2, mean=[0.5], std=[0.5], head=frozenset({"1.weight", "1.bias"}))
        )
