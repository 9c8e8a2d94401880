"""What the nodes of a graph are shown, step by step: images, or features where those of a still backbone are kept."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ktg.data import Batches, Images
from ktg.data.augment import AUGMENTS, MIXTURES, view_of
from ktg.graph import Graph
from ktg.graph.canonical import open_edges
from ktg.graph.spec import ViewName
from ktg.training.seeds import derive_seed, endless_rows, epoch_rows


@dataclass(frozen=True)
class Shown:
    """One batch. `images` holds (B, C, H, W) in [0, 1] by node, `features` (B, ...) by node; a node is in one of them.

    `labels` are int64 (B,), or probabilities (B, classes) where images were mixed. Nodes that
    images without labels are meant for have these after the others, (B + B, C, H, W).
    """

    images: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    labels: Tensor


class Feed:
    """The training images of a graph, in each epoch in an order of its own and in new views."""

    def __init__(
        self,
        graph: Graph,
        images: Images,
        classes: int,
        device: torch.device,
        unlabelled: Images | None = None,
    ) -> None:
        self.graph, self.classes, self.device = graph, classes, device
        self.batches = Batches(images, device, workers=torch.get_num_threads())
        self.seeing = seeing_unlabelled(graph)
        self._more: Batches | None = None
        if unlabelled is not None and self.seeing:
            self._more = Batches(unlabelled, device, workers=torch.get_num_threads())

    def rows(self, epoch: int) -> Tensor:
        """Return the rows of every batch of an epoch (counted from 0), int64 (steps, B)."""
        return epoch_rows(
            len(self.batches), self.graph.data.batch_size, self.graph.train.seed, epoch
        )

    def __call__(self, epoch: int, features: Mapping[str, Tensor]) -> Iterator[Shown]:
        """Yield the batches of an epoch; of nodes in `features`, which are (N, ...) by image, no image is made."""
        steps = self.rows(epoch).unbind()
        looking = {name: view_of(self.graph.data, node) for name, node in self.graph.nodes.items()}
        looking = {name: view for name, view in looking.items() if name not in features}
        views = self._views(self.batches, "augment", epoch, steps, set(looking.values()))
        more = self._unlabelled(
            epoch, len(steps), {view for name, view in looking.items() if name in self.seeing}
        )
        mix, drawn = MIXTURES.get(self.graph.data.augment), self._generator("mix", epoch)
        for chosen, seen, others in zip(self.batches.on_device(steps), views, more, strict=False):
            labels = self.batches.labels[chosen]
            if mix is not None and seen:
                mixture = mix(drawn)
                labels = mixture.labels(labels, self.classes, next(iter(seen.values())).shape[-1])
                seen, others = (
                    {v: mixture.images(images) for v, images in each.items()}
                    for each in (seen, others)
                )
            both = {view: torch.cat([seen[view], images]) for view, images in others.items()}
            yield Shown(
                images={
                    name: (both if name in self.seeing and both else seen)[view]
                    for name, view in looking.items()
                },
                features={name: values[chosen] for name, values in features.items()},
                labels=labels,
            )

    def _unlabelled(
        self, epoch: int, steps: int, names: Collection[ViewName]
    ) -> Iterable[Mapping[ViewName, Tensor]]:
        """Yield each of these views of as many unlabelled images as a batch has, for every step."""
        if self._more is None:
            return itertools.repeat({})
        rows = endless_rows(
            len(self._more), self.graph.data.batch_size, steps, self.graph.train.seed, epoch
        )
        return self._views(self._more, "augment unlabelled", epoch, rows.unbind(), names)

    def _views(
        self,
        batches: Batches,
        stream: str,
        epoch: int,
        steps: Sequence[Tensor],
        names: Collection[ViewName],
    ) -> Iterator[Mapping[ViewName, Tensor]]:
        """Yield each of these views of the images of every step; those of the data as if there were no others."""
        if not names:
            yield from itertools.repeat({})
        default = view_of(self.graph.data)
        drawn = {
            name: self._generator(stream, epoch, *(() if name == default else (name,)))
            for name in sorted(names)
        }
        for pixels, _ in batches(steps):
            views = {name: AUGMENTS[name](pixels, generator) for name, generator in drawn.items()}
            # Channels-last is a third faster, on CPUs too.
            yield {
                name: images.contiguous(memory_format=torch.channels_last)
                for name, images in views.items()
            }

    def _generator(self, *parts: str | int) -> torch.Generator:
        generator = torch.Generator(self.device)
        generator.manual_seed(derive_seed(self.graph.train.seed, *parts))
        return generator


def seeing_unlabelled(graph: Graph) -> frozenset[str]:
    """Return the nodes that are shown images without labels: both ends of each open edge that needs no label."""
    if graph.data.unlabelled is None:
        return frozenset()
    return frozenset(
        name for pair, edge in open_edges(graph).items() if not edge.needs_label for name in pair
    )
