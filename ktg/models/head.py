"""A network in two parts: the backbone, which makes features of images, and the head, which makes logits of them."""

import posixpath

import torch
from torch import Tensor, nn

from ktg.models.network import Network


def head_of(network: Network) -> nn.Module | None:
    """Return the smallest module that holds the whole head; None where that is the network itself, as for two heads."""
    owners = {name.rpartition(".")[0] for name in network.head}
    path = posixpath.commonpath([f"/{owner.replace('.', '/')}" for owner in owners]).strip("/")
    return network.body.get_submodule(path.replace("/", ".")) if path else None


def classify(network: Network, features: Tensor) -> Tensor:
    """Return the logits (B, classes) that the head makes of features; ValueError as for `split_forward`."""
    head = head_of(network)
    if head is None:
        raise ValueError("this network has no module that holds just its head")
    return head(features)  # type: ignore[no-any-return]


@torch.no_grad()
def split_forward(network: Network, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return what the head is given, once for each time it is called, and the logits (B, classes).

    Raises ValueError for a network without a head of its own.
    """
    head, taken = head_of(network), list[Tensor]()
    if head is None:
        raise ValueError("this network has no module that holds just its head")
    hook = head.register_forward_pre_hook(lambda _module, inputs: taken.append(inputs[0]))
    try:
        return taken, network(images)
    finally:
        hook.remove()
