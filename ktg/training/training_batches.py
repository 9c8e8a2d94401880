"""Makes the batches that the nodes of a graph train on: images, features, or teachers' answers."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
from torch import Tensor

from ktg.data import Images
from ktg.data.augment import AUGMENTS, MIXTURES, choose_view
from ktg.graph import Graph
from ktg.graph.canonical import open_edges
from ktg.graph.vocabulary import ViewName
from ktg.training.answers import Answers
from ktg.training.label_weights import scale_label_weights
from ktg.training.randomness import (
    balanced_rows,
    derive_seed,
    endless_passes,
    endless_rows,
    epoch_rows,
)
from ktg.training.shown_images import Places, ShownImages

Views = Mapping[ViewName, Tensor]
# What a teacher answers to the images at some places, with labels and without.
Ask = Callable[[Places, Places | None], Answers]


@dataclass(frozen=True)
class TrainingBatch:
    """One batch: each node in one of `images`, `features` and `answers`.

    `images` are (B, C, H, W) in [0, 1], `features` (B, ...) what a head is given, and `answers`
    those of a teacher that was asked beforehand. `labels` are int64 (B,), or probabilities (B,
    classes) where images were mixed, and `weights` (B,) how much they count, None where all count
    alike. Nodes that images without labels are meant for have these
    after the others, (B + U, C, H, W).
    """

    images: Mapping[str, Tensor]
    features: Mapping[str, Tensor]
    labels: Tensor
    answers: Mapping[str, Answers] = field(default_factory=dict)
    weights: Tensor | None = None


class TrainingBatches:
    """The training images of a graph, in a new order in each epoch, and in new or fixed views.

    `unlabelled_nodes` are those that see images without labels, too. `label_weights` (N,), 1 in the
    mean, say how much each label counts, None where all count alike.
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
        self.labelled = self._show(images)
        by_class = graph.data.balance == "sampling"
        weights = scale_label_weights(images, by_class=by_class)
        self.label_weights = None if weights is None else weights.to(device)
        self.unlabelled_nodes = find_unlabelled_nodes(graph)
        self.unlabelled: ShownImages | None = None
        if unlabelled is not None and self.unlabelled_nodes:
            self.unlabelled = self._show(unlabelled)

    @property
    def steps(self) -> int:
        """The steps of an epoch: of one pass over the images, or a share of `train.steps`."""
        train = self.graph.train
        if train.steps is None:
            return len(self.labelled) // self.graph.data.batch_size
        return train.steps // max(train.epochs, 1)

    def rows(self, epoch: int) -> Tensor:
        """Return the rows of every batch of an epoch (counted from 0), int64 (steps, B)."""
        in_pass, first = len(self.labelled) // self.graph.data.batch_size, epoch * self.steps
        passes = range(first // in_pass, (first + self.steps - 1) // in_pass + 1)
        begin = first - passes[0] * in_pass
        rows = torch.cat([self._pass_rows(number) for number in passes])
        return rows[begin : begin + self.steps]

    def _pass_rows(self, number: int) -> Tensor:
        """Return the rows of every batch of one pass over the images, int64 (steps, B)."""
        batch_size, seed = self.graph.data.batch_size, self.graph.train.seed
        if self.graph.data.balance == "sampling":
            labels = torch.from_numpy(self.labelled.source.labels)
            return balanced_rows(labels, batch_size, seed, number)
        return epoch_rows(len(self.labelled), batch_size, seed, number)

    def __call__(
        self,
        epoch: int,
        features: Mapping[str, Sequence[Tensor]],
        ask: Mapping[str, Ask] = MappingProxyType({}),
    ) -> Iterator[TrainingBatch]:
        """Yield the batches of an epoch.

        `features` are (N, ...) by image, for every step, and `ask` are teachers that know all
        images; for the nodes in either no images are made.
        """
        steps = self._places(epoch)
        others = self._unlabelled_places(epoch, len(steps))
        needing = [name for name in self.graph.nodes if name not in features and name not in ask]
        view = {name: choose_view(self.graph.data, self.graph.nodes[name]) for name in needing}
        images = self._views(self.labelled, "augment", epoch, steps, set(view.values()))
        unlabelled: Iterable[Views] = itertools.repeat({})
        if self.unlabelled is not None:
            names = {view[name] for name in needing if name in self.unlabelled_nodes}
            unlabelled = self._views(self.unlabelled, "augment unlabelled", epoch, others, names)
        mix, generator = MIXTURES.get(self.graph.data.augment), self._generator("mix", epoch)
        rows = self.labelled.plain.on_device([step.rows for step in steps])
        asked = zip(steps, others or itertools.repeat(None), strict=False)
        for step, (chosen, seen, more, (place, other)) in enumerate(
            zip(rows, images, unlabelled, asked, strict=False)
        ):
            labels = self.labelled.plain.labels[chosen]
            weights = None if self.label_weights is None else self.label_weights[chosen]
            if mix is not None and seen:
                # One mixture for all nodes, because they must agree on the label of an image.
                mixture = mix(generator)
                side = next(iter(seen.values())).shape[-1]
                labels = mixture.labels(labels, self.classes, side, weights)
                weights = None if weights is None else mixture.weights(weights, side)
                seen = {name: mixture.images(each) for name, each in seen.items()}
                more = {name: mixture.images(each) for name, each in more.items()}
            both = {name: torch.cat([seen[name], each]) for name, each in more.items()}
            yield TrainingBatch(
                images={
                    name: (both if both and name in self.unlabelled_nodes else seen)[view[name]]
                    for name in needing
                },
                features={name: values[step][chosen] for name, values in features.items()},
                labels=labels,
                answers={
                    name: teacher(place, other if name in self.unlabelled_nodes else None)
                    for name, teacher in ask.items()
                },
                weights=weights,
            )

    def _show(self, images: Images) -> ShownImages:
        return ShownImages(
            images,
            self.device,
            workers=torch.get_num_threads(),
            views=self.graph.data.views,
            seed=self.graph.train.seed,
        )

    def views(self, epoch: int) -> list[int]:
        """Return the view of the labelled images that every step of an epoch shows.

        They take another view in each pass over them.
        """
        in_pass, first = len(self.labelled) // self.graph.data.batch_size, epoch * self.steps
        return [self.labelled.turn((first + step) // in_pass) for step in range(self.steps)]

    def _places(self, epoch: int) -> list[Places]:
        """Return where the labelled images of every step of an epoch are."""
        return [
            Places(torch.full_like(step, view), step)
            for view, step in zip(self.views(epoch), self.rows(epoch), strict=True)
        ]

    def _unlabelled_places(self, epoch: int, steps: int) -> list[Places]:
        """Return the same of the images without labels, as many as `unlabelled_share` asks for.

        They take another view in each pass over them, so that none is drawn before it is shown.
        """
        if self.unlabelled is None or not steps:
            return []
        size = count_unlabelled(self.graph)
        images, seed = len(self.unlabelled), self.graph.train.seed
        rows = endless_rows(images, size, steps, seed, epoch)
        views = endless_passes(images, size, steps, epoch) % (self.unlabelled.views or 1)
        return [Places(view, step) for view, step in zip(views, rows, strict=True)]

    def _views(
        self,
        shown: ShownImages,
        stream: str,
        epoch: int,
        steps: Sequence[Places],
        names: Collection[ViewName],
    ) -> Iterator[Views]:
        """Yield each of these views of the images of every step."""
        if not names:
            yield from itertools.repeat({})
        fixed = {name: shown.pixels(name, steps) for name in names if shown.draws_once(name)}
        # One pass for all others: they are views of the same pixels.
        passing: Iterable[Tensor | None] = itertools.repeat(None, len(steps))
        if len(fixed) < len(names):
            passing = (pixels for pixels, _ in shown.plain([step.rows for step in steps]))
        # A generator for each view, so that a node with a view of its own changes nothing for the
        # others; that of the data's view is named as if there were no other.
        default = choose_view(self.graph.data)
        generators = {
            name: self._generator(stream, epoch, *(() if name == default else (name,)))
            for name in sorted(names)
        }
        for pixels in passing:
            views = {}
            for name, generator in generators.items():
                kept = name in fixed
                drawn = AUGMENTS["none" if kept else name]
                view = drawn(next(fixed[name]) if kept else pixels, generator)  # type: ignore[arg-type]
                # Channels-last is a third faster, on CPUs too.
                views[name] = view.contiguous(memory_format=torch.channels_last)
            yield views

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


def count_unlabelled(graph: Graph) -> int:
    """Return how many images without labels a step shows, at least 1.

    A batch of 20 and a share of 0.8 -> 80, which are 0.8 of 100.
    """
    share = graph.data.unlabelled_share
    return max(1, round(graph.data.batch_size * share / (1 - share)))
