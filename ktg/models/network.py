"""A node's network together with the input it expects, so that all nodes of a graph can share one image batch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ktg.graph import Node, SourceFile
from ktg.models.build import create, sketch
from ktg.models.source import initial_state, resolve
from ktg.models.weights import load


class Network(nn.Module):
    """A classifier that takes plain images: floats in [0, 1] of shape (B, C, H, W), C being 1 or 3.

    It makes grey images three-channelled, resizes them to `size` x `size` pixels (antialiased
    bilinear) when they differ, and normalises them with `mean` and `std`, which belong to its
    weights and are not saved with them. `head` holds the names, within `body`, of the parameters of
    the classifier; all others are the backbone.
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
    ) -> None:
        super().__init__()
        self.body = body
        self.size = size
        self.head = head
        self.register_buffer("mean", _per_channel(mean), persistent=False)
        self.register_buffer("std", _per_channel(std), persistent=False)

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

    def head_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Return (name in `body`, parameter) of the classifier."""
        return [
            (name, parameter)
            for name, parameter in self.body.named_parameters()
            if name in self.head
        ]

    def backbone_parameters(self) -> list[tuple[str, nn.Parameter]]:
        """Return (name in `body`, parameter) of everything but the classifier."""
        return [
            (name, parameter)
            for name, parameter in self.body.named_parameters()
            if name not in self.head
        ]


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor([float(value) for value in values], dtype=torch.float32).view(1, -1, 1, 1)


def build(
    node: Node,
    sources: Mapping[str, SourceFile],
    *,
    classes: int,
    image_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
    base: Path | None = None,
    where: str = "node",
) -> Network:
    """Return the network of a node, on the CPU, with the weights of its source.

    `mean` and `std` (one number, or one per channel) are those of the training split; they hold for
    `source: none`. Pretrained weights bring their own. `image_size` is the side in pixels of the
    images in the data. Fresh weights, all or only the head's, depend on `seed` alone, and torch's
    global generator is left as it was. `base` is the folder that relative paths begin in, and
    `where` the dotted place of the node for messages.

    Raises SpecError for a model, argument, size or source that cannot be, and WeightsError for
    unfit weights.
    """
    source = resolve(node, sources, base, where)
    plan = sketch(node, classes=classes, image_size=image_size, where=where)
    # Only the CPU's generator: torch.manual_seed would also reseed every GPU's.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        body = create(node, classes=classes, size=plan.size)
    state = initial_state(node, source, plan.size, where)
    if state is not None and not load(
        body, state, plan.head, f"{where}: {source.file or source.name} for {node.model}"
    ):
        begin_quietly(body, plan.head, seed)
    return Network(
        body, size=plan.size, mean=source.mean or mean, std=source.std or std, head=plan.head
    )


def begin_quietly(body: nn.Module, head: frozenset[str], seed: int) -> None:
    """Draw the weights of a new head on a pretrained backbone from N(0, 0.01^2), with biases of 0.

    A library's own initialisation is meant for training from nothing and for a thousand classes.
    timm's for the EfficientNet family grows as classes get fewer: with two of them the first loss
    is above 10 where log 2 is meant, and its gradients destroy the backbone in the first steps.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in body.named_parameters():
            if name in head and parameter.ndim > 1:
                parameter.normal_(std=0.01, generator=generator)
            elif name in head:
                parameter.zero_()
