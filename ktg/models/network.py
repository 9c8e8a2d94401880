"""Classifiers that take plain images: one network, its split into backbone and head, and ensembles.

The networks of a graph share one batch of images, whatever libraries they come from, because each
brings the size and the normalisation that its weights expect.
"""

import math
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional


class Network(nn.Module):
    """A classifier that takes plain images: floats in [0, 1] of shape (B, C, H, W), C being 1 or 3.

    It makes grey images three-channelled, resizes them to `size` x `size` pixels (antialiased
    bilinear) when they differ, and normalises them with `mean` and `std`, which belong to its
    weights and are not saved with them. `head` holds the names, within `body`, of the parameters of
    the classifier; all others are the backbone. `head_came`: whether it came with the weights.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        body: nn.Module,
        *,
        size: int,
        mean: Sequence[float],
        std: Sequence[float],
        head: frozenset[str],
        head_came: bool = False,
    ) -> None:
        super().__init__()
        self.body = body
        self.head_came = head_came
        self.size = size
        self.head = head
        self.register_buffer("mean", _shape_channels(mean), persistent=False)
        self.register_buffer("std", _shape_channels(std), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes)."""
        return self.body(self.prepare(images))  # type: ignore[no-any-return]

    def prepare(self, images: Tensor) -> Tensor:
        """Return the images as `body` expects them: (B, 3, size, size), normalised."""
        if images.shape[-2:] != (self.size, self.size):
            images = functional.interpolate(
                images, (self.size, self.size), mode="bilinear", antialias=True
            )
        return (images.expand(-1, 3, -1, -1) - self.mean) / self.std

    def backbone_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Return (name in `body`, parameter) of everything but the classifier."""
        named = self.body.named_parameters()
        return [(name, parameter) for name, parameter in named if name not in self.head]


def find_head(network: Network) -> nn.Module | None:
    """Return the smallest module that holds the whole head.

    `{linear.weight, linear.bias}` -> `body.linear`. None where that would be the network itself, as
    in a distilled DeiT, whose two heads are children of the body.
    """
    owners = {name.rpartition(".")[0] for name in network.head}
    path = posixpath.commonpath([f"/{owner.replace('.', '/')}" for owner in owners]).strip("/")
    return network.body.get_submodule(path.replace("/", ".")) if path else None


def classify(network: Network, features: Tensor) -> Tensor:
    """Return the logits (B, classes) that the head makes of features; see `split_forward`."""
    return _get_head(network)(features)  # type: ignore[no-any-return]


@torch.no_grad()
def split_forward(network: Network, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the input of the head, once for each time it is called, and the logits (B, classes).

    Raises ValueError for a network without a head of its own.
    """
    with record_head_inputs(network) as inputs:
        return inputs, network(images)


@contextmanager
def record_head_inputs(network: Network) -> Iterator[list[Tensor]]:
    """Yield a list to which the head's input is added whenever it is called inside the block.

    Raises ValueError for a network without a head of its own.
    """
    inputs = list[Tensor]()
    hook = _get_head(network).register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    try:
        yield inputs
    finally:
        hook.remove()


def flatten_features(features: Tensor) -> Tensor:
    """Return what a head is given as (B, D): the mean over places or tokens where there are any.

    (B, D, H, W) and (B, tokens, D) -> (B, D).
    """
    if features.ndim == 4:
        return features.mean((2, 3))
    return features.mean(1) if features.ndim == 3 else features


class Ensemble(nn.Module):
    """Several networks as one classifier; `names` are their nodes.

    They share their input, (B, C, H, W) in [0, 1], and their classes. times: how often each counts;
    default: once.
    """

    def __init__(self, networks: Mapping[str, Network], times: Sequence[int] | None = None) -> None:
        super().__init__()
        self.names = tuple(networks)
        self.times = tuple(times or [1] * len(networks))
        self.members = nn.ModuleList(networks.values())  # not by name: a node may be called `train`

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, classes), float32: the log of the members' mean probabilities."""
        return average_logits([member(images) for member in self.members], self.times)

    @property
    def networks(self) -> dict[str, Network]:
        """The members by the names of their nodes."""
        return dict(zip(self.names, self.members, strict=True))  # type: ignore[arg-type]


def average_logits(logits: Sequence[Tensor], times: Sequence[int] | None = None) -> Tensor:
    """Return the log of the mean of the probabilities of several logits (B, classes), in float32.

    times: how often each counts; default: once. Probabilities of 0.8 and 0.4 -> log 0.6, and the
    softmax of that is 0.6; counted three times and once -> log 0.7. A single member keeps its own
    logits, so that nothing is rounded.
    """
    if len(logits) == 1:
        return logits[0].float()
    counted = times or [1] * len(logits)
    each = torch.stack(
        [
            torch.log_softmax(one.float(), dim=1) + math.log(often)
            for one, often in zip(logits, counted, strict=True)
        ]
    )
    return torch.logsumexp(each, dim=0) - math.log(sum(counted))


def choose_device(device: torch.device | str | None) -> torch.device:
    """Return the given device; by default a GPU if there is one, else the CPU."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def _get_head(network: Network) -> nn.Module:
    head = find_head(network)
    if head is None:
        raise ValueError("this network has no module that holds just its head")
    return head


def _shape_channels(values: Sequence[float]) -> Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float32).view(1, -1, 1, 1)
