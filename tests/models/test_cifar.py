from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from ktg.graph import Node
from ktg.models.build import build_network
from ktg.models.cifar import CIFAR_MODELS, BasicBlock, CifarResNet, WideResNet

# Trainable parameters with ten classes, as the authors of each network (or its reference
# implementation) count them.
PARAMETERS = {
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet44": 658_586,
    "resnet56": 853_018,
    "resnet110": 1_727_962,
    "wide_resnet28_10": 36_479_194,
    "wide_resnet16_1": 175_066,
    "wide_resnet16_2": 691_674,
    "wide_resnet28_2": 1_467_610,
    "wide_resnet40_1": 563_930,
    "wide_resnet40_2": 2_243_546,
}


@pytest.mark.parametrize(("name", "count"), PARAMETERS.items())
def test_parameter_counts_are_the_published_ones(name, count):
    with torch.device("meta"):
        network = CIFAR_MODELS[name](num_classes=10)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("name", CIFAR_MODELS)
def test_depth_is_what_the_name_says(name):
    with torch.device("meta"):
        network = CIFAR_MODELS[name](num_classes=10)
    layers = [
        m
        for m in network.modules()
        if isinstance(m, nn.Linear | nn.Conv2d) and m.weight.shape[-1] != 1
    ]
    depth = int(name.removeprefix("wide_").removeprefix("resnet").split("_")[0])
    # The wide paper counts the 1x1 shortcuts of its three stages: 6n + 4 = 6n + 1 + 3.
    assert len(layers) == (depth - 2 if name.startswith("wide") else depth)


@pytest.mark.parametrize("size", [8, 9, 28, 33])
@pytest.mark.parametrize("name", ["resnet8", "wide_resnet16_1"])
def test_images_of_any_size_from_8_pixels(name, size):
    network = CIFAR_MODELS[name](num_classes=7)
    assert network(torch.rand(2, 3, size, size + 3)).shape == (2, 7)


def test_the_shortcut_is_option_a():
    """With a silent residual branch, a block gives every second pixel, amid channels of zeros."""
    block = BasicBlock(4, 8, 2).eval()
    nn.init.zeros_(block.bn2.weight)
    x = torch.rand(2, 4, 6, 6)
    out = block(x)
    torch.testing.assert_close(out[:, 2:6], x[:, :, ::2, ::2])
    assert out[:, :2].abs().sum() == out[:, 6:].abs().sum() == 0


def test_wide_blocks_are_identities_when_silent():
    network = WideResNet(16, 1, 10).eval()
    block = network.layer1[0]
    nn.init.zeros_(block.conv2.weight)
    x = torch.randn(2, 16, 8, 8)
    torch.testing.assert_close(block(x), x)


def test_convolutions_begin_with_he_variance_and_biases_at_zero():
    torch.manual_seed(0)
    network = CifarResNet(20, 10)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            expected = (2 / (9 * module.out_channels)) ** 0.5
            assert module.weight.std().item() == pytest.approx(expected, rel=0.15)
    assert network.linear.bias.count_nonzero() == 0


@pytest.mark.parametrize(("depth", "images"), [(20, 2000), (32, 1000), (56, 500)])
@pytest.mark.slow
def test_published_weights_classify_cifar10(shared: Path, depth, images):
    """Over 90 % on real images proves architecture, loading and normalisation at once.

    Published are 91.7 to 93.4 %.
    """
    with np.load(shared / "data/cifar10_small/cifar10_small.npz", allow_pickle=False) as data:
        x, y = (
            torch.from_numpy(data["x_test"][:images]),
            torch.from_numpy(data["y_test"][:images]).long(),
        )
    node = Node(model=f"resnet{depth}", source=str(shared / f"weights/resnet{depth}.cifar10.pth"))
    network = build_network(
        node, {}, classes=10, image_size=32, mean=[0.0], std=[1.0], seed=0
    ).eval()
    with torch.inference_mode():
        logits = torch.cat([network(part.permute(0, 3, 1, 2) / 255) for part in x.split(250)])
    assert (logits.argmax(1) == y).float().mean() > 0.9
    assert functional.cross_entropy(logits, y) < 0.6
