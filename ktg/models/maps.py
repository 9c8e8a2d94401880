"""Finds the feature maps of any classifier, and brings them to (N, C, H, W) from any layout."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ktg.errors import SpecError
from ktg.models.network import Network

Layout = Literal["NCHW", "NHWC", "NTC"]
# Kinds of modules that pass a map on unchanged; by name, as for pooling, because each library has
# its own.
_PASSING = ("Dropout", "DropPath", "Identity", "Flatten")


@dataclass(frozen=True)
class Layer:
    """A module of `Network.body`, by its name, whose output is a feature map, and its layout.

    NCHW and NHWC are maps, NTC a sequence of tokens, where the first `prefix` are not places in
    the image. `shape` is (C, H, W) of one image.
    """

    name: str
    layout: Layout
    prefix: int
    shape: tuple[int, int, int]

    def maps(self, output: Tensor) -> Tensor:
        """Return the module's output as (N, C, H, W)."""
        if self.layout == "NHWC":
            return output.permute(0, 3, 1, 2)
        if self.layout == "NTC":
            return output[:, self.prefix :].transpose(1, 2).reshape(len(output), *self.shape)
        return output


def find_last_map(network: Network) -> Layer:
    """Return the layer of the last map or token grid before the classifier.

    It is found by a pass of one black image. A map has more than one position; pooling layers are
    passed over, so AlexNet gives conv5 of 13 x 13. Libraries end one architecture differently (a
    DenseNet before or after the last ReLU): scores of the two differ.
    Raises SpecError for a network without such a map.
    """
    return find_last_maps(network)[0]


def find_last_maps(network: Network, where: str = "model") -> list[Layer]:
    """Return the layer of the last map of each size before the classifier, the very last first.

    See `find_last_map`.
    """
    found: dict[int, Layer] = {}
    names = set()
    for name, output in reversed(_outputs(network)):
        layer = None if name in names else _layer(name, output, network.body)
        names.add(name)  # a hook sees only the last output of a module called twice
        if layer is not None:
            found.setdefault(layer.shape[1], layer)
    if not found:
        raise SpecError(where, "has no map of features with more than one position; one is needed")
    return list(found.values())


def forward_with_maps(
    network: Network, layers: Sequence[Layer], images: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """Return the logits (B, classes), and the maps of the layers on the way, (B, C, H, W) each."""
    taken: dict[str, Tensor] = {}
    hooks = [
        network.body.get_submodule(layer.name).register_forward_hook(
            lambda _module, _inputs, output, name=layer.name: taken.update({name: output})
        )
        for layer in layers
    ]
    try:
        logits = network(images)
    finally:
        for hook in hooks:
            hook.remove()
    return logits, [layer.maps(taken[layer.name]) for layer in layers]


def _outputs(network: Network) -> list[tuple[str, Tensor]]:
    """Return (name, output) of the modules before the head that make something new.

    They are in the order in which they finish.
    """
    head = {name.rpartition(".")[0] for name in network.head}
    found: list[tuple[str, Tensor]] = []
    pooled: list[Tensor] = []
    ended = False

    def record(name: str, module: nn.Module, output: Any) -> None:
        nonlocal ended
        ended = ended or name in head
        if ended or not isinstance(output, Tensor) or not name:
            return
        kind = type(module).__name__
        if "Pool" in kind:
            pooled.append(output)
        # A container that ends with a pooling layer returns the very output of that layer.
        elif not any(word in kind for word in _PASSING) and not any(
            output is one for one in pooled
        ):
            found.append((name, output))

    hooks = [
        module.register_forward_hook(
            lambda module, _, output, name=name: record(name, module, output)
        )
        for name, module in network.body.named_modules()
    ]
    training = network.training
    try:
        with torch.inference_mode():
            network.eval()(
                torch.zeros(1, 3, network.size, network.size, device=network.mean.device)
            )
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return found


def _layer(name: str, output: Tensor, body: nn.Module) -> Layer | None:
    if (
        output.ndim == 4
        and output.shape[2] == output.shape[3] > 1
        and not _channels_last(output, body)
    ):
        return Layer(name, "NCHW", 0, (output.shape[1], output.shape[2], output.shape[3]))
    if output.ndim == 4 and output.shape[1] == output.shape[2] > 1:
        return Layer(name, "NHWC", 0, (output.shape[3], output.shape[1], output.shape[2]))
    if output.ndim == 3:
        tokens, channels = output.shape[1:]
        side = math.isqrt(tokens)  # images are square; class and register tokens come first
        prefix = int(getattr(body, "num_prefix_tokens", tokens - side * side))
        if side > 1 and prefix == tokens - side * side:
            return Layer(name, "NTC", prefix, (channels, side, side))
    return None


def _channels_last(output: Tensor, body: nn.Module) -> bool:
    """Return whether a square output that could be NCHW or NHWC has its channels last.

    Only timm says so (`output_fmt`, as for Swin); in doubt it has not.
    """
    return getattr(body, "output_fmt", None) == "NHWC" and output.shape[3] == getattr(
        body, "num_features", None
    )
