"""Defines the networks of the deep-collaborative-learning papers for 32x32 images.

These are the ResNets for CIFAR, and wide ResNets. Both take images of any size from 8x8 and shrink
them by four before the global average.
"""

import functools
from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn import functional

from ktg.models.names import CIFAR_RESNETS, CIFAR_WIDE_RESNETS


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without parameters.

    This is "option A" of He et al., CVPR 2016, section 4.2. Where the block halves the image and
    adds channels, the shortcut takes every second pixel and fills the new channels with zeros, half
    of them before and half after.
    """

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv3x3(channels_in, channels, stride)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = _conv3x3(channels, channels, 1)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride = stride
        self.padding = (channels - channels_in) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, H / stride, W / stride)."""
        out = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        if self.padding:
            x = functional.pad(x, (0, 0, 0, 0, self.padding, self.padding))
        return functional.relu(out + x, inplace=True)


class CifarResNet(nn.Module):
    """The ResNet for CIFAR of He et al., CVPR 2016, with 16, 32 and 64 channels in n blocks each.

    Its depth is 6n + 2: resnet20 has 3 blocks of each width.
    """

    def __init__(self, depth: int, num_classes: int) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = _conv3x3(3, 16, 1)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(BasicBlock, 16, 16, blocks, 1)
        self.layer2 = _stage(BasicBlock, 16, 32, blocks, 2)
        self.layer3 = _stage(BasicBlock, 32, 64, blocks, 2)
        self.linear = nn.Linear(64, num_classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of normalised images (B, 3, H, W)."""
        x = functional.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))  # type: ignore[no-any-return]


class WideBlock(nn.Module):
    """Pre-activation block with two 3x3 convolutions: Zagoruyko and Komodakis, BMVC 2016.

    Where the shape changes, the shortcut is a 1x1 convolution of the activated input.
    """

    def __init__(
        self, channels_in: int, channels: int, stride: int, drop_rate: float = 0.0
    ) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = _conv3x3(channels_in, channels, stride)
        self.bn2 = nn.BatchNorm2d(channels)
        self.dropout = nn.Dropout(drop_rate)
        self.conv2 = _conv3x3(channels, channels, 1)
        changes = channels_in != channels or stride > 1
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels, H / stride, W / stride)."""
        active = functional.relu(self.bn1(x), inplace=True)
        out = functional.relu(self.bn2(self.conv1(active)), inplace=True)
        out = self.conv2(self.dropout(out))
        added: Tensor = out + (x if self.shortcut is None else self.shortcut(active))
        return added


class WideResNet(nn.Module):
    """WRN-depth-width of Zagoruyko and Komodakis, BMVC 2016.

    Its depth is 6n + 4, and its channels are 16, 32 and 64 times the width: wide_resnet28_10 has 4
    blocks each of 160, 320 and 640 channels.
    """

    def __init__(self, depth: int, width: int, num_classes: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        blocks = (depth - 4) // 6
        block = functools.partial(WideBlock, drop_rate=drop_rate)
        self.conv1 = _conv3x3(3, 16, 1)
        self.layer1 = _stage(block, 16, 16 * width, blocks, 1)
        self.layer2 = _stage(block, 16 * width, 32 * width, blocks, 2)
        self.layer3 = _stage(block, 32 * width, 64 * width, blocks, 2)
        self.bn = nn.BatchNorm2d(64 * width)
        self.linear = nn.Linear(64 * width, num_classes)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, num_classes) of normalised images (B, 3, H, W)."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        x = functional.relu(self.bn(x), inplace=True)
        return self.linear(x.mean((2, 3)))  # type: ignore[no-any-return]


def _conv3x3(channels_in: int, channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels, 3, stride, padding=1, bias=False)


def _stage(
    block: Callable[[int, int, int], nn.Module],
    channels_in: int,
    channels: int,
    blocks: int,
    stride: int,
) -> nn.Sequential:
    first = block(channels_in, channels, stride)
    return nn.Sequential(first, *(block(channels, channels, 1) for _ in range(blocks - 1)))


def _initialise(network: nn.Module) -> None:
    """Draw the weights as He et al., ICCV 2015, with the fan-out; biases become zero.

    The authors' own code of both papers does so.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


def _wide(name: str) -> Callable[..., nn.Module]:
    depth, width = name.removeprefix("wide_resnet").split("_")
    return functools.partial(WideResNet, int(depth), int(width))


CIFAR_MODELS: Mapping[str, Callable[..., nn.Module]] = {
    **{
        name: functools.partial(CifarResNet, int(name.removeprefix("resnet")))
        for name in CIFAR_RESNETS
    },
    **{name: _wide(name) for name in CIFAR_WIDE_RESNETS},
}
