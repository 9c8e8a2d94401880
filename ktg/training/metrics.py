"""Figures of an epoch: collected on the device, read back once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ktg.graph import edge_path
from ktg.training.evaluate import Score


class Meter:
    """A table of scalars, one row per step, that stays on the device until the epoch is over."""

    def __init__(self, steps: int, columns: Sequence[str], device: torch.device) -> None:
        self.columns = list(columns)
        self._table = torch.zeros(steps, len(columns), device=device)

    def add(self, step: int, values: Sequence[Tensor]) -> None:
        """Store the scalars of one step."""
        self._table[step] = torch.stack([value.detach().float() for value in values])

    def read(self) -> list[dict[str, float]]:
        """Return the rows; the only moment at which the host waits for the device."""
        return [dict(zip(self.columns, row, strict=True)) for row in self._table.tolist()]


def first_bad(rows: Sequence[Mapping[str, float]]) -> tuple[int, str] | None:
    """Return the step and column of the first value that is not finite, or None."""
    for step, row in enumerate(rows):
        for column, value in row.items():
            if not math.isfinite(value):
                return step, column
    return None


@dataclass(frozen=True)
class NodeFigures:
    """One node in one epoch. Teachers have no learning rate; without a validation split there is no validation."""

    train_accuracy: float
    val_accuracy: float | None = None
    val_loss: float | None = None
    lr: float | None = None


@dataclass(frozen=True)
class EdgeFigures:
    """One open edge in one epoch: means over its steps of the weighted loss, of the gate's and of a learned weight."""

    loss: float
    openness: float
    weight: float | None = None


@dataclass(frozen=True)
class Epoch:
    """What one epoch was like. `number` counts from 1; nodes and edges have the names of the graph given.

    `ensemble` is the score of the mean of all nodes' probabilities on the validation split, and
    `by_ensemble` says whether it is that which counts, and not the target alone.
    """

    number: int
    target: str
    nodes: Mapping[str, NodeFigures]
    edges: Mapping[tuple[str, str], EdgeFigures]
    seconds: float
    images_per_s: float
    peak_memory_bytes: int
    ensemble: Score | None = None
    by_ensemble: bool = False

    @property
    def val_accuracy(self) -> float | None:
        """Accuracy of what is scored on the validation split, in [0, 1]: the objective of a search."""
        return self._val()[0]

    def metrics(self) -> dict[str, float]:
        """Return everything as flat dotted names, for tracking."""
        accuracy, loss = self._val()
        flat = {"val_accuracy": accuracy, "val_loss": loss}
        flat |= {"epoch_s": self.seconds, "images_per_s": self.images_per_s}
        flat |= {"peak_memory_mib": self.peak_memory_bytes / 2**20}
        if self.ensemble:
            flat |= {f"ensemble.val_{key}": value for key, value in vars(self.ensemble).items()}
        for name, node in self.nodes.items():
            flat |= {f"nodes.{name}.{key}": value for key, value in vars(node).items()}
        for pair, edge in self.edges.items():
            flat |= {f"{edge_path(*pair)}.{key}": value for key, value in vars(edge).items()}
        return {key: value for key, value in flat.items() if value is not None}

    def _val(self) -> tuple[float | None, float | None]:
        if self.by_ensemble:
            return (self.ensemble.accuracy, self.ensemble.loss) if self.ensemble else (None, None)
        target = self.nodes[self.target]
        return target.val_accuracy, target.val_loss
