"""Features of backbones that stand still, computed once: an epoch of a frozen phase then costs the head alone."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ktg.data import Batches
from ktg.data.augment import AUGMENTS, MIXTURES, view_of
from ktg.errors import SpecError
from ktg.graph import Graph
from ktg.graph.spec import ViewName
from ktg.models.head import head_of, split_forward
from ktg.models.network import Network
from ktg.training.evaluate import Split
from ktg.training.node import Learner
from ktg.training.seeds import derive_seed, seeded

MEMORY_BYTES = 2**31


@dataclass(frozen=True)
class Still:
    """A node whose backbone stands still in the epochs before `until`, in the modes that it has then.

    `views` is the number of fixed views of each training image; 0 where every epoch shows new ones,
    of which nothing can be kept. `asked`: it is the user who wants them fixed. `where` is the
    node's dotted place, for messages.
    """

    network: Network
    until: int
    augment: ViewName
    views: int
    asked: bool
    where: str


def still_nodes(
    graph: Graph,
    learners: Mapping[str, Learner],
    teachers: Mapping[str, Network],
    names: Mapping[str, str],
) -> dict[str, Still]:
    """Return the nodes of which only the head learns in the first epochs, and the teachers; in the modes they train in.

    Where images are not augmented, every epoch shows one fixed view. `names` are the user's, for
    messages.
    """
    still = {}
    for name, node in graph.nodes.items():
        view, asked = view_of(graph.data, node), node.frozen_views
        plain = view == "none" and graph.data.augment not in MIXTURES
        where = f"nodes.{names[name]}"
        if name in teachers:
            still[name] = Still(teachers[name], graph.train.epochs, view, int(plain), False, where)
        elif until := _frozen_until(learners[name], graph.train.epochs):
            learners[name].begin_epoch(0)
            views = 1 if plain else asked or 0
            still[name] = Still(
                learners[name].network, until, view, views, asked is not None, where
            )
    return still


def _frozen_until(learner: Learner, epochs: int) -> int:
    """Return the first epoch, counted from 0, in which more than the head learns."""
    head = learner.network.head
    return next((epoch for epoch in range(epochs) if learner.learning(epoch) != head), epochs)


class Features:
    """What the heads of still backbones are given, for the training images in each view, and for a validation split.

    The features of one image must not depend on chance or on the other images of its batch, and the
    logits must be what the head makes of them: whatever is otherwise is found by a trial and goes
    through the whole network in every step, as does what would not fit into `memory_bytes`. Where
    the user asked for fixed views that is an error.
    """

    def __init__(
        self,
        still: Mapping[str, Still],
        batches: Batches,
        split: Split | None,
        *,
        batch_size: int,
        seed: int,
        device: torch.device,
        precision: torch.dtype,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._batches, self._split = batches, split
        self._batch_size, self._seed, self._device, self._precision = (
            batch_size,
            seed,
            device,
            precision,
        )
        self._still = self._that_can(still, memory_bytes)
        self._train: dict[tuple[str, int], Tensor] = {}
        self._val: dict[str, Tensor] = {}

    def train(self, epoch: int) -> dict[str, Tensor]:
        """Return the features (N, ...) of all training images, by node, as the epoch (counted from 0) shows them."""
        self._release(epoch)
        found = {}
        for name, still in self._still.items():
            if epoch < still.until and still.views:
                key = (name, epoch % still.views)
                if key not in self._train:
                    self._train[key] = self._view(still, key[1])
                found[name] = self._train[key]
        return found

    def val(self, epoch: int) -> dict[str, Tensor]:
        """Return the features (N, ...) of the validation images, by node; the networks must be in evaluation mode."""
        for name, still in self._still.items():
            if self._split is not None and epoch < still.until and name not in self._val:
                self._val[name] = torch.cat(
                    [self._features(still.network, images) for images, _ in self._split]
                )
        return {
            name: self._val[name]
            for name, still in self._still.items()
            if epoch < still.until and self._val
        }

    def _release(self, epoch: int) -> None:
        over = {name for name, still in self._still.items() if epoch >= still.until}
        self._train = {key: value for key, value in self._train.items() if key[0] not in over}
        self._val = {name: value for name, value in self._val.items() if name not in over}

    def _view(self, still: Still, view: int) -> Tensor:
        """Return the features of one view of all images; every batch is full, so that all are computed alike."""
        count = len(self._batches)
        rows = torch.arange(-(-count // self._batch_size) * self._batch_size) % count
        generator = torch.Generator(self._device)
        generator.manual_seed(derive_seed(self._seed, "view", view))
        parts = []
        for pixels, _ in self._batches(rows.view(-1, self._batch_size)):
            images = AUGMENTS[still.augment](pixels, generator)
            parts.append(
                self._features(still.network, images.contiguous(memory_format=torch.channels_last))
            )
        return torch.cat(parts)[:count]

    def _features(self, network: Network, images: Tensor) -> Tensor:
        return self._both(network, images)[0][0]

    def _both(self, network: Network, images: Tensor) -> tuple[list[Tensor], Tensor]:
        half = self._precision != torch.float32
        with torch.autocast(self._device.type, dtype=self._precision, enabled=half):
            return split_forward(network, images)

    def _that_can(self, still: Mapping[str, Still], memory_bytes: int) -> dict[str, Still]:
        """Return the nodes whose features can be kept, as many of them as there is room for."""
        kept, room = {}, memory_bytes
        for name, each in still.items():
            width = self._bytes_per_image(each.network)
            images = len(self._batches) * each.views + (self._split.size if self._split else 0)
            if width and width * images <= room:
                kept[name] = each
                room -= width * images
            elif each.asked:
                problem = (
                    f"the features of {images:,} views need {width * images / 2**20:.1f} MiB of memory; "
                    f"there is room for {room / 2**20:.1f} MiB"
                    if width
                    else "this model's features cannot be kept: chance has a part in them, or it has no head of its own"
                )
                raise SpecError(f"{each.where}.frozen_views", problem)
        return kept

    def _bytes_per_image(self, network: Network) -> int:
        """Return the size of one image's features; 0 where they cannot stand for the image."""
        head, size = head_of(network), network.size
        if head is None:
            return 0
        generator = torch.Generator(self._device).manual_seed(0)
        images = torch.rand((2, 3, size, size), generator=generator, device=self._device)
        trials = []
        for seed in (0, 1):
            with seeded(seed, self._device):
                trials.append(self._both(network, images))
        (once, logits), (again, _) = trials
        if len(once) != 1 or not torch.equal(once[0], again[0]) or len(once[0]) != 2:
            return 0
        with (
            torch.no_grad(),
            torch.autocast(
                self._device.type, dtype=self._precision, enabled=self._precision != torch.float32
            ),
        ):
            if not torch.equal(head(once[0]), logits):
                return 0
        return once[0][0].numel() * once[0].element_size()
