"""Accuracy and loss of networks on a split."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ktg.data import Batches, Images
from ktg.data.augment import AUGMENTS
from ktg.models.ensemble import mean_of
from ktg.models.head import classify, split_forward
from ktg.models.network import Network

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Score:
    """Top-1 accuracy in [0, 1] and mean cross-entropy in nats."""

    accuracy: float
    loss: float


class Split:
    """A split on a device, ready to be scored on."""

    def __init__(self, images: Images, device: torch.device, batch_size: int) -> None:
        self.device = device
        self.size = len(images)
        self._batches = Batches(images, device)
        self.labels = self._batches.labels
        self.batch_size = batch_size
        self._rows = list(torch.split(torch.arange(len(images)), batch_size))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, C, H, W) in [0, 1] and labels (B,)."""
        for pixels, labels in self._batches(self._rows):
            images = AUGMENTS["none"](pixels, torch.Generator(self.device))
            yield images.contiguous(memory_format=torch.channels_last), labels


@torch.inference_mode()
def evaluate(
    networks: Mapping[str, nn.Module],
    split: Split,
    precision: torch.dtype,
    features: Mapping[str, Tensor] = MappingProxyType({}),
) -> dict[str, Score]:
    """Return the score of every network on a split, and as `ENSEMBLE` that of the mean of all their probabilities.

    The networks are put into evaluation mode. Of a network in `features`, which are (N, ...) for
    the whole split, only the head is computed; where that is all of them, no image is read.
    """
    totals = {
        name: torch.zeros(2, device=split.device, dtype=torch.float64)
        for name in (*networks, ENSEMBLE)
    }
    for network in networks.values():
        network.eval()
    kept = {name: torch.split(values, split.batch_size) for name, values in features.items()}
    batches: Iterable[tuple[Tensor | None, Tensor]] = split
    if networks.keys() <= features.keys():
        batches = ((None, labels) for labels in torch.split(split.labels, split.batch_size))
    for place, (images, labels) in enumerate(batches):
        logits = {}
        with torch.autocast(split.device.type, dtype=precision, enabled=precision != torch.float32):
            for name, network in networks.items():
                if name in kept:
                    logits[name] = classify(network, kept[name][place])  # type: ignore[arg-type]
                else:
                    logits[name] = network(images)
        for name, values in logits.items():
            totals[name] += _right_and_loss(values.float(), labels)
        totals[ENSEMBLE] += _right_and_loss(mean_of(list(logits.values())), labels)
    table = torch.stack(
        list(totals.values())
    ).tolist()  # the only moment at which the host waits for the device
    return {
        name: Score(row[0] / split.size, row[1] / split.size)
        for name, row in zip(totals, table, strict=True)
    }


@torch.inference_mode()
def logits_of(network: nn.Module, split: Split, precision: torch.dtype) -> Tensor:
    """Return the network's logits (N, C), float32 on the CPU, for a split in its order."""
    network.eval()
    parts = []
    for images, _ in split:
        with torch.autocast(split.device.type, dtype=precision, enabled=precision != torch.float32):
            logits = network(images)
        parts.append(logits.float().cpu())
    return torch.cat(parts)


def head_inputs(network: Network, split: Split, precision: torch.dtype) -> Tensor:
    """Return what the network's head is given (N, ...), float32 on the CPU, for a split in its order."""
    network.eval()
    parts = []
    for images, _ in split:
        with torch.autocast(split.device.type, dtype=precision, enabled=precision != torch.float32):
            (features,), _ = split_forward(network, images)
        parts.append(features.float().cpu())
    return torch.cat(parts)


def _right_and_loss(logits: Tensor, labels: Tensor) -> Tensor:
    right = (logits.argmax(dim=1) == labels).sum()
    return torch.stack(
        [right.double(), nn.functional.cross_entropy(logits, labels, reduction="sum").double()]
    )
