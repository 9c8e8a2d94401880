"""Measures networks on a split: their scores, logits, and what their heads are given."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from ktg.class_scores import rank_areas
from ktg.data import Batches, Images
from ktg.data.augment import AUGMENTS
from ktg.models.network import Network, average_logits, classify, split_forward

ENSEMBLE = "ensemble"


# A loss this near to that of guessing says that nothing was learned, where no class is said to be
# likelier by more than this share: one that is sure and often wrong may have that loss, too.
COLLAPSE, UNDECIDED = 1e-3, 0.1


@dataclass(frozen=True)
class Evaluation:
    """Top-1 accuracy in [0, 1] and mean cross-entropy in nats; of what is scored also the others.

    These are the mean of the classes' recalls, the mean of their F1 scores, and the mean of the
    areas under their receiver operating curves, each class against the others. `auroc` is None
    where only one class has images. `collapsed`: one class is said of all images though there are
    several, or the loss is that of guessing. `logits` are (N, C), float32 on the CPU.
    """

    accuracy: float
    loss: float
    balanced_accuracy: float | None = None
    macro_f1: float | None = None
    auroc: float | None = None
    collapsed: bool | None = None
    logits: Tensor | None = field(default=None, repr=False, compare=False)


class Split:
    """A split on a device, without augmentation, in batches that keep its order.

    `weights` (N,) are those of its labels, on the host; scores do not look at them.
    """

    def __init__(self, images: Images, device: torch.device, batch_size: int) -> None:
        self.device = device
        self.size = len(images)
        self._batches = Batches(images, device)
        self.labels, self.weights = self._batches.labels, images.weights
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
    in_full: Collection[str] = (),
    answers: Mapping[str, Tensor] = MappingProxyType({}),
) -> dict[str, Evaluation]:
    """Return the evaluation of every network on a split, with all scores for those `in_full`.

    Under the name `ENSEMBLE` is that of the mean of all their probabilities. The networks are put
    into evaluation mode. Of a network in `features`, which are (N, ...) for the whole split, only
    the head is computed, and of one in `answers`, its logits (N, C), nothing; where that is all of
    them, no image is read.
    """
    names, kept = (*networks, ENSEMBLE), {name: list[Tensor]() for name in in_full}
    totals = {name: torch.zeros(2, device=split.device, dtype=torch.float64) for name in names}
    for network in networks.values():
        network.eval()
    ready = {name: torch.split(values, split.batch_size) for name, values in features.items()}
    said = {name: torch.split(values, split.batch_size) for name, values in answers.items()}
    batches: Iterable[tuple[Tensor | None, Tensor]] = split
    if networks.keys() <= features.keys() | answers.keys():
        batches = ((None, labels) for labels in torch.split(split.labels, split.batch_size))
    for place, (images, labels) in enumerate(batches):
        logits = {}
        with autocast(split.device, precision):
            for name, network in networks.items():
                if name in said:
                    logits[name] = said[name][place]
                elif name in ready:
                    logits[name] = classify(network, ready[name][place])  # type: ignore[arg-type]
                else:
                    logits[name] = network(images)
        logits[ENSEMBLE] = average_logits(list(logits.values()))
        for name, values in logits.items():
            totals[name] += _right_and_loss(values.float(), labels)
            if name in kept:
                kept[name].append(values.float())
    # One table for all networks, because reading it is the only moment at which the host waits
    # (and once more for each that is measured in full).
    table = torch.stack(list(totals.values())).tolist()
    found = {
        name: Evaluation(row[0] / split.size, row[1] / split.size)
        for name, row in zip(totals, table, strict=True)
    }
    for name, parts in kept.items():
        found[name] = measure_classes(found[name], torch.cat(parts).cpu(), split.labels.cpu())
    return found


def measure_classes(measured: Evaluation, logits: Tensor, labels: Tensor) -> Evaluation:
    """Return an evaluation with the scores that look at each class, of logits (N, C) on the CPU.

    One image of four is of class 1 and goes unseen: three quarters are right, and half of the
    classes.

    >>> found = measure_classes(Evaluation(0.75, 0.6), torch.eye(2)[[0, 0, 0, 0]],
    ...                         torch.tensor([0, 0, 0, 1]))
    >>> found.balanced_accuracy, round(found.macro_f1, 4), found.auroc, found.collapsed
    (0.5, 0.4286, 0.5, True)
    """
    from sklearn import config_context
    from sklearn.metrics import precision_recall_fscore_support

    truth, guesses = labels.numpy(), logits.argmax(dim=1).numpy()
    # Everything here is checked already, and of a small split the checks would take the most time.
    with config_context(assume_finite=True, skip_parameter_validation=True):
        _, recalls, f1, images = precision_recall_fscore_support(truth, guesses, zero_division=0)
    finite, classes = bool(logits.isfinite().all()), logits.shape[1]
    shares = logits.double().softmax(dim=1)
    auroc = rank_areas(truth, shares.numpy()) if finite else None
    undecided = float(shares.amax(dim=1).mean()) < 1 / classes + UNDECIDED
    guessing = undecided and abs(measured.loss - math.log(classes)) < COLLAPSE
    constant = int((images > 0).sum()) > 1 and bool((guesses == guesses[0]).all())
    return replace(
        measured,
        # The mean recall of the classes that have images.
        balanced_accuracy=float(recalls[images > 0].mean()),
        macro_f1=float(f1.mean()),
        auroc=auroc,
        collapsed=constant or guessing,
        logits=logits,
    )


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
