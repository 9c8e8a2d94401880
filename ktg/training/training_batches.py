"""Makes the batches that the nodes of a graph train on: images, or features of frozen backbones."""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ktg.data import Batches, Images
from ktg.data.augment import AUGMENTS, MIXTURES, choose_view
from ktg.graph import Graph
from ktg.graph.canonical import open_edges
from ktg.graph.spec import ViewName
from ktg.training.randomness import derive_seed, endless_rows, epoch_rows

Views = Mapping[ViewName, Tensor]


@dataclass(frozen=True)
class TrainingBatch:
    """One batch: `images` (B, C, H, W) in [0, 1] or `features` (B, ...), each node in one of them.

    `labels` are int64 (B,), or probabilities (B, classes) where images were mixed. Nodes that
    images without labels are meant for have these after the others, (B + B, C, H, W).
    """

    images: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    labels: Tensor


class TrainingBatches:
    """The training images of a graph, in a new order and in new views in each epoch.

    `unlabelled_nodes` are those that see images without labels, too.
    """

    def __init__(
        self,
        graph: Graph,
        images: Images,
        classes: int,
        device: torch.device,
        unlabelled: Images | None = None,
    ) -> None:
        self.graph, self.classes, self.device = graph, classes, device
        workers = torch.get_num_threads()
        self.labelled = Batches(images, device, workers=workers)
        self.unlabelled_nodes = find_unlabelled_nodes(graph)
        self._unlabelled: Batches | None = None
        if unlabelled is not None and self.unlabelled_nodes:
            self._unlabelled = Batches(unlabelled, device, workers=workers)

    def rows(self, epoch: int) -> Tensor:
        """Return the rows of every batch of an epoch (counted from 0), int64 (steps, B)."""
        batch_size, seed = self.graph.data.batch_size, self.graph.train.seed
        return epoch_rows(len(self.labelled), batch_size, seed, epoch)

    def __call__(self, epoch: int, features: Mapping[str, Tensor]) -> Iterator[TrainingBatch]:
        """Yield the batches of an epoch.

        `features` are (N, ...) by image; for the nodes in it no images are made.
        """
        steps = self.rows(epoch).unbind()
        needing = [name for name in self.graph.nodes if name not in features]
        view = {name: choose_view(self.graph.data, self.graph.nodes[name]) for name in needing}
        images = self._views(self.labelled, "augment", epoch, steps, set(view.values()))
        others = {view[name] for name in needing if name in self.unlabelled_nodes}
        unlabelled = self._unlabelled_views(epoch, len(steps), others)
        mix, generator = MIXTURES.get(self.graph.data.augment), self._generator("mix", epoch)
        rows = self.labelled.on_device(steps)
        for chosen, seen, more in zip(rows, images, unlabelled, strict=False):
            labels = self.labelled.labels[chosen]
            if mix is not None and seen:
                # One mixture for all nodes, because they must agree on the label of an image.
                mixture = mix(generator)
                labels = mixture.labels(labels, self.classes, next(iter(seen.values())).shape[-1])
                seen = {name: mixture.images(each) for name, each in seen.items()}
                more = {name: mixture.images(each) for name, each in more.items()}
            both = {name: torch.cat([seen[name], each]) for name, each in more.items()}
            yield TrainingBatch(
                images={
                    name: (both if both and name in self.unlabelled_nodes else seen)[view[name]]
                    for name in needing
                },
                features={name: values[chosen] for name, values in features.items()},
                labels=labels,
            )

    def _unlabelled_views(
        self, epoch: int, steps: int, names: Collection[ViewName]
    ) -> Iterable[Views]:
        """Yield each of these views of as many unlabelled images as a batch has, for every step."""
        if self._unlabelled is None:
            return itertools.repeat({})
        batch_size, seed = self.graph.data.batch_size, self.graph.train.seed
        rows = endless_rows(len(self._unlabelled), batch_size, steps, seed, epoch)
        return self._views(self._unlabelled, "augment unlabelled", epoch, rows.unbind(), names)

    def _views(
        self,
        batches: Batches,
        stream: str,
        epoch: int,
        steps: Sequence[Tensor],
        names: Collection[ViewName],
    ) -> Iterator[Views]:
        """Yield each of these views of the images of every step."""
        if not names:
            yield from itertools.repeat({})
        # A generator for each view, so that a node with a view of its own changes nothing for the
        # others; that of the data's view is named as if there were no other.
        default = choose_view(self.graph.data)
        generators = {
            name: self._generator(stream, epoch, *(() if name == default else (name,)))
            for name in sorted(names)
        }
        for pixels, _ in batches(steps):
            views = {name: AUGMENTS[name](pixels, each) for name, each in generators.items()}
            # Channels-last is a third faster, on CPUs too.
            layout = torch.channels_last
            yield {name: view.contiguous(memory_format=layout) for name, view in views.items()}

    def _generator(self, *parts: str | int) -> torch.Generator:
        generator = torch.Generator(self.device)
        generator.manual_seed(derive_seed(self.graph.train.seed, *parts))
        return generator


def find_unlabelled_nodes(graph: Graph) -> frozenset[str]:
    """Return the nodes that see images without labels: both ends of open edges that need none."""
    if graph.data.unlabelled is None:
        return frozenset()
    edges = open_edges(graph).items()
    return frozenset(name for pair, edge in edges if not edge.needs_label for name in pair)
