"""Accuracy and loss of networks on a split."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ktg.data import Batches, Images
from ktg.data.augment import AUGMENTS
from ktg.models.head import classify, split_forward
from ktg.models.network import Network


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
def evaluate(networks: Mapping[str, nn.Module], split: Split, precision: torch.dtype) -> dict[str, Score]:
    """Return the score of every network on a split; the networks are put into evaluation mode."""
    if not networks:
        return {}
    totals = {name: torch.zeros(2, device=split.device, dtype=torch.float64) for name in networks}
    for network in networks.values():
        network.eval()
    for images, labels in split:
        for name, network in networks.items():
            with torch.autocast(split.device.type, dtype=precision, enabled=precision != torch.float32):
                logits = network(images)
            totals[name] += _right_and_loss(logits.float(), labels)
    return _scores(totals, split.size)


@torch.inference_mode()
def evaluate_heads(
    networks: Mapping[str, Network], features: Mapping[str, Tensor], split: Split, precision: torch.dtype
) -> dict[str, Score]:
    """Return what `evaluate` does for the networks with `features` (N, ...) of the split, from their heads alone."""
    totals = {}
    for name, values in features.items():
        totals[name] = torch.zeros(2, device=split.device, dtype=torch.float64)
        for batch, labels in zip(
            torch.split(values, split.batch_size), torch.split(split.labels, split.batch_size), strict=True
        ):
            with torch.autocast(split.device.type, dtype=precision, enabled=precision != torch.float32):
                logits = classify(networks[name], batch)
            totals[name] += _right_and_loss(logits.float(), labels)
    return _scores(totals, split.size)


def _scores(totals: Mapping[str, Tensor], size: int) -> dict[str, Score]:
    """Return the scores from (right, loss) summed over `size` images, which are read from the device at once."""
    table = torch.stack(list(totals.values())).tolist() if totals else []
    return {name: Score(row[0] / size, row[1] / size) for name, row in zip(totals, table, strict=True)}


@torch.inference_mode()
def predict(network: nn.Module, split: Split, precision: torch.dtype) -> Tensor:
    """Return the network's probabilities (N, C), float32 on the CPU, for a split in its order."""
    network.eval()
    parts = []
    for images, _ in split:
        with torch.autocast(split.device.type, dtype=precision, enabled=precision != torch.float32):
            logits = network(images)
        parts.append(logits.float().softmax(dim=1).cpu())
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
    return torch.stack([right.double(), nn.functional.cross_entropy(logits, labels, reduction="sum").double()])
