"""What the nodes of a graph are shown, step by step: images, or features where those of a still backbone are kept."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ktg.data import Batches, Images
from ktg.data.augment import AUGMENTS, MIXTURES, view_of
from ktg.engine.seeds import derive_seed, epoch_rows
from ktg.spec import Graph
from ktg.spec.graph import ViewName


@dataclass(frozen=True)
class Shown:
    """One batch. `images` holds (B, C, H, W) in [0, 1] by node, `features` (B, ...) by node; a node is in one of them.

    `labels` are int64 (B,), or probabilities (B, classes) where images were mixed.
    """

    images: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    labels: Tensor


class Feed:
    """The training images of a graph, in each epoch in an order of its own and in new views."""

    def __init__(self, graph: Graph, images: Images, classes: int, device: torch.device) -> None:
        self.graph, self.classes, self.device = graph, classes, device
        self.batches = Batches(images, device, workers=torch.get_num_threads())

    def rows(self, epoch: int) -> Tensor:
        """Return the rows of every batch of an epoch (counted from 0), int64 (steps, B)."""
        return epoch_rows(len(self.batches), self.graph.data.batch_size, self.graph.train.seed, epoch)

    def __call__(self, epoch: int, features: Mapping[str, Tensor]) -> Iterator[Shown]:
        """Yield the batches of an epoch; of nodes in `features`, which are (N, ...) by image, no image is made."""
        steps = self.rows(epoch).unbind()
        looking = {name: view_of(self.graph.data, node) for name, node in self.graph.nodes.items()}
        looking = {name: view for name, view in looking.items() if name not in features}
        views = self._views(epoch, steps, set(looking.values())) if looking else itertools.repeat({})
        mix, drawn = MIXTURES.get(self.graph.data.augment), self._generator("mix", epoch)
        for chosen, seen in zip(self.batches.on_device(steps), views, strict=False):
            labels = self.batches.labels[chosen]
            if mix is not None and seen:
                mixture = mix(drawn)
                labels = mixture.labels(labels, self.classes, next(iter(seen.values())).shape[-1])
                seen = {view: mixture.images(images) for view, images in seen.items()}
            yield Shown(
                images={name: seen[view] for name, view in looking.items()},
                features={name: values[chosen] for name, values in features.items()},
                labels=labels,
            )

    def _views(
        self, epoch: int, steps: Sequence[Tensor], names: Iterable[ViewName]
    ) -> Iterator[Mapping[ViewName, Tensor]]:
        """Yield each of these views of the images of every step; those of the data as if there were no others."""
        default = view_of(self.graph.data)
        drawn = {
            name: self._generator("augment", epoch, *(() if name == default else (name,))) for name in sorted(names)
        }
        for pixels, _ in self.batches(steps):
            views = {name: AUGMENTS[name](pixels, generator) for name, generator in drawn.items()}
            # Channels-last is a third faster, on CPUs too.
            yield {name: images.contiguous(memory_format=torch.channels_last) for name, images in views.items()}

    def _generator(self, *parts: str | int) -> torch.Generator:
        generator = torch.Generator(self.device)
        generator.manual_seed(derive_seed(self.graph.train.seed, *parts))
        return generator
