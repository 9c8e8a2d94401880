"""Computes the features of frozen backbones once, so that an epoch then costs the head alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ktg.data.augment import AUGMENTS, MIXTURES, choose_view
from ktg.errors import SpecError
from ktg.graph import Graph
from ktg.graph.vocabulary import ViewName
from ktg.models.network import Network, find_head, split_forward
from ktg.training.node import Learner
from ktg.training.randomness import derive_seed, use_seed
from ktg.training.scoring import Split, autocast
from ktg.training.shown_images import ShownImages

MEMORY_BYTES = 2**31


@dataclass(frozen=True)
class FrozenBackbone:
    """A node whose backbone is frozen in the epochs before `until`, in the modes it then has.

    `views` is the number of fixed views of each training image; 0 where every epoch shows new ones,
    so that no features can be stored. `required`: the user asked for fixed views. `where` is the
    node's dotted place, for messages.
    """

    network: Network
    until: int
    augment: ViewName
    views: int
    required: bool
    where: str


def find_frozen_backbones(
    graph: Graph,
    learners: Mapping[str, Learner],
    teachers: Mapping[str, Network],
    names: Mapping[str, str],
    never: Collection[str] = (),
) -> dict[str, FrozenBackbone]:
    """Return the nodes that train only their heads in the first epochs, and these `teachers`.

    They are left in the modes they train in. Where images are not augmented, every epoch shows one
    fixed view. Of nodes in `never` no features of training images can be stored, only those of
    validation images. `names` are the user's names of the nodes, for messages.
    """
    frozen = {}
    for name, node in graph.nodes.items():
        view, wanted = choose_view(graph.data, node), node.frozen_views
        fixed = graph.data.views or wanted or 0
        plain = view == "none" and graph.data.augment not in MIXTURES
        where = f"nodes.{names[name]}"
        if name not in learners and name not in teachers:
            continue
        if name in teachers:
            network, until = teachers[name], graph.train.epochs
            frozen[name] = FrozenBackbone(network, until, view, int(plain), False, where)
        elif until := _count_frozen_epochs(learners[name], graph.train.epochs):
            learners[name].begin_epoch(0)
            network, views = learners[name].network, 1 if plain else fixed
            required = wanted is not None
            frozen[name] = FrozenBackbone(network, until, view, views, required, where)
    return {
        name: replace(each, views=0, required=False) if name in never else each
        for name, each in frozen.items()
    }


def _count_frozen_epochs(learner: Learner, epochs: int) -> int:
    """Return the first epoch, counted from 0, in which more than the head learns."""
    head = learner.network.head
    return next(
        (epoch for epoch in range(epochs) if learner.select_parameters(epoch) != head), epochs
    )


class FrozenFeatures:
    """The inputs of the heads of frozen backbones, for training images and a validation split.

    The features of one image must not depend on chance or on the other images of its batch, and the
    logits must be what the head makes of them. Networks that break this are found by a trial; they,
    and what would not fit into `memory_bytes`, go through the whole network in every step. Where
    the user asked for fixed views that is a SpecError.
    """

    def __init__(
        self,
        backbones: Mapping[str, FrozenBackbone],
        shown: ShownImages,
        split: Split | None,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        precision: torch.dtype,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._shown, self._split = shown, split
        self._batch_size, self._seed = batch_size, seed
        self._device, self._precision = device, precision
        self._backbones = self._select(backbones, memory_bytes)
        self._train: dict[tuple[str, int], Tensor] = {}
        self._val: dict[str, Tensor] = {}

    def train(self, epoch: int, shown: Sequence[int]) -> dict[str, list[Tensor]]:
        """Return the features (N, ...) of all training images in each step of an epoch, by node.

        The epoch counts from 0. `shown` is the view that each step shows of images with fixed views
        for all nodes; a node that has fixed views alone shows one of them in an epoch.
        """
        self._release(epoch)
        features = {}
        for name, backbone in self._backbones.items():
            if epoch < backbone.until and backbone.views:
                common = self._shown.draws_once(backbone.augment)
                views = shown if common else [epoch % backbone.views] * len(shown)
                features[name] = [self._find_view(name, view) for view in views]
        return features

    def _find_view(self, name: str, view: int) -> Tensor:
        key = (name, view)
        if key not in self._train:
            self._train[key] = self._compute_view(self._backbones[name], view)
        return self._train[key]

    def val(self, epoch: int) -> dict[str, Tensor]:
        """Return the features (N, ...) of the validation images, by node.

        The networks must be in evaluation mode.
        """
        if self._split is None:
            return {}
        frozen = {name: each for name, each in self._backbones.items() if epoch < each.until}
        for name, backbone in frozen.items():
            if name not in self._val:
                parts = [self._forward(backbone.network, images)[0][0] for images, _ in self._split]
                self._val[name] = torch.cat(parts)
        return {name: self._val[name] for name in frozen}

    def _release(self, epoch: int) -> None:
        over = {name for name, backbone in self._backbones.items() if epoch >= backbone.until}
        self._train = {key: value for key, value in self._train.items() if key[0] not in over}
        self._val = {name: value for name, value in self._val.items() if name not in over}

    def _compute_view(self, backbone: FrozenBackbone, view: int) -> Tensor:
        """Return the features of one view of all images."""
        count = len(self._shown)
        # The last batch is filled up with images from the start: another kernel may compute a batch
        # of another size, and its last bits may differ.
        rows = torch.arange(-(-count // self._batch_size) * self._batch_size) % count
        generator = torch.Generator(self._device)
        generator.manual_seed(derive_seed(self._seed, "view", view))
        parts, kept = [], self._shown.draws_once(backbone.augment)
        augment = AUGMENTS["none" if kept else backbone.augment]
        batches = self._shown.batches(backbone.augment, view) if kept else self._shown.plain
        for pixels, _ in batches(rows.view(-1, self._batch_size)):
            images = augment(pixels, generator)
            images = images.contiguous(memory_format=torch.channels_last)
            parts.append(self._forward(backbone.network, images)[0][0])
        return torch.cat(parts)[:count]

    def _forward(self, network: Network, images: Tensor) -> tuple[list[Tensor], Tensor]:
        with autocast(self._device, self._precision):
            return split_forward(network, images)

    def _select(
        self, backbones: Mapping[str, FrozenBackbone], memory_bytes: int
    ) -> dict[str, FrozenBackbone]:
        """Return the nodes whose features can be stored, as many of them as there is room for."""
        selected, room = {}, memory_bytes
        for name, backbone in backbones.items():
            width = self._bytes_per_image(backbone.network)
            images = len(self._shown) * backbone.views + (self._split.size if self._split else 0)
            if width and width * images <= room:
                selected[name] = backbone
                room -= width * images
            elif backbone.required:
                needed, there = (f"{size / 2**20:.1f} MiB" for size in (width * images, room))
                problem = (
                    f"the features of {images:,} views need {needed} of memory; "
                    f"there is room for {there}"
                    if width
                    else "this model's features cannot be stored: "
                    "they depend on chance, or it has no head of its own"
                )
                raise SpecError(f"{backbone.where}.frozen_views", problem)
        return selected

    def _bytes_per_image(self, network: Network) -> int:
        """Return the size of one image's features; 0 where they cannot stand for the image."""
        head, size = find_head(network), network.size
        if head is None:
            return 0
        generator = torch.Generator(self._device).manual_seed(0)
        images = torch.rand((2, 3, size, size), generator=generator, device=self._device)
        trials = []
        for seed in (0, 1):  # features that differ between two seeds depend on chance
            with use_seed(seed, self._device):
                trials.append(self._forward(network, images))
        (once, logits), (again, _) = trials
        if len(once) != 1 or not torch.equal(once[0], again[0]) or len(once[0]) != 2:
            return 0
        with torch.no_grad(), autocast(self._device, self._precision):
            if not torch.equal(head(once[0]), logits):
                return 0
        return once[0][0].numel() * once[0].element_size()
