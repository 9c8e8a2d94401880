"""Accuracy and loss of networks on a split."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ktg.data import Batches, Images
from ktg.data.augment import AUGMENTS


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
        self._rows = list(torch.split(torch.arange(len(images)), batch_size))

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield images (B, C, H, W) in [0, 1] and labels (B,)."""
        for pixels, labels in self._batches(self._rows):
            images = AUGMENTS["none"](pixels, torch.Generator(self.device))
            yield images.contiguous(memory_format=torch.channels_last), labels


@torch.inference_mode()
def evaluate(networks: Mapping[str, nn.Module], split: Split, precision: torch.dtype) -> dict[str, Score]:
    """Return the score of every network on a split; the networks are put into evaluation mode."""
    totals = {name: torch.zeros(2, device=split.device, dtype=torch.float64) for name in networks}
    for network in networks.values():
        network.eval()
    for images, labels in split:
        for name, network in networks.items():
            with torch.autocast(split.device.type, dtype=precision, enabled=precision != torch.float32):
                logits = network(images)
            totals[name] += _right_and_loss(logits.float(), labels)
    table = torch.stack(list(totals.values())).tolist()
    return {name: Score(row[0] / split.size, row[1] / split.size) for name, row in zip(totals, table, strict=True)}


def _right_and_loss(logits: Tensor, labels: Tensor) -> Tensor:
    right = (logits.argmax(dim=1) == labels).sum()
    return torch.stack([right.double(), nn.functional.cross_entropy(logits, labels, reduction="sum").double()])
