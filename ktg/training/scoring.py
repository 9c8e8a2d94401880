"""Measures networks on a split: accuracy and loss, logits, and what their heads are given."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from ktg.data import Batches, Images
from ktg.data.augment import AUGMENTS
from ktg.models.network import Network, average_logits, classify, split_forward

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Evaluation:
    """Top-1 accuracy in [0, 1] and mean cross-entropy in nats."""

    accuracy: float
    loss: float


class Split:
    """A split on a device, without augmentation, in batches that keep its order."""

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


def autocast(device: torch.device, precision: torch.dtype) -> torch.autocast:
    """Return the context in which forward passes compute in `precision`."""
    return torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32)


@torch.inference_mode()
def evaluate(
    networks: Mapping[str, nn.Module],
    split: Split,
    precision: torch.dtype,
    features: Mapping[str, Tensor] = MappingProxyType({}),
) -> dict[str, Evaluation]:
    """Return the evaluation of every network on a split.

    Under the name `ENSEMBLE` is that of the mean of all their probabilities. The networks are put
    into evaluation mode. Of a network in `features`, which are (N, ...) for the whole split, only
    the head is computed; where that is all of them, no image is read.
    """
    names = (*networks, ENSEMBLE)
    totals = {name: torch.zeros(2, device=split.device, dtype=torch.float64) for name in names}
    for network in networks.values():
        network.eval()
    ready = {name: torch.split(values, split.batch_size) for name, values in features.items()}
    batches: Iterable[tuple[Tensor | None, Tensor]] = split
    if networks.keys() <= features.keys():
        batches = ((None, labels) for labels in torch.split(split.labels, split.batch_size))
    for place, (images, labels) in enumerate(batches):
        logits = {}
        with autocast(split.device, precision):
            for name, network in networks.items():
                if name in ready:
                    logits[name] = classify(network, ready[name][place])  # type: ignore[arg-type]
                else:
                    logits[name] = network(images)
        for name, values in logits.items():
            totals[name] += _right_and_loss(values.float(), labels)
        totals[ENSEMBLE] += _right_and_loss(average_logits(list(logits.values())), labels)
    # One table for all networks, because reading it is the only moment at which the host waits.
    table = torch.stack(list(totals.values())).tolist()
    return {
        name: Evaluation(row[0] / split.size, row[1] / split.size)
        for name, row in zip(totals, table, strict=True)
    }


@torch.inference_mode()
def compute_logits(network: nn.Module, split: Split, precision: torch.dtype) -> Tensor:
    """Return the network's logits (N, C), float32 on the CPU, for a split in its order."""
    network.eval()
    parts = []
    for images, _ in split:
        with autocast(split.device, precision):
            logits = network(images)
        parts.append(logits.float().cpu())
    return torch.cat(parts)


def compute_head_inputs(network: Network, split: Split, precision: torch.dtype) -> Tensor:
    """Return the inputs of the network's head (N, ...), float32 on the CPU, in order."""
    network.eval()
    parts = []
    for images, _ in split:
        with autocast(split.device, precision):
            (features,), _ = split_forward(network, images)
        parts.append(features.float().cpu())
    return torch.cat(parts)


def _right_and_loss(logits: Tensor, labels: Tensor) -> Tensor:
    right = (logits.argmax(dim=1) == labels).sum()
    loss = functional.cross_entropy(logits, labels, reduction="sum")
    return torch.stack([right.double(), loss.double()])
