"""Collects the metrics of a training: of steps on the device, of epochs as plain numbers."""

import math
import resource
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from ktg.errors import TrainingError
from ktg.graph import LABEL, edge_key, edge_path
from ktg.training.adapters import Pair
from ktg.training.scoring import Evaluation

Value = TypeVar("Value")
# What is measured on a validation split, each in every epoch as `val_NAME`.
SCORES = ("accuracy", "loss", "balanced_accuracy", "macro_f1", "auroc")


@dataclass(frozen=True)
class StepMetrics(Generic[Value]):
    """The metrics of one step, as scalar tensors or as numbers, or their means over an epoch.

    By edge: the weighted loss, the mean weight of the gate, and the weight of the loss where it is
    learned. By node: the accuracy on the batch.
    """

    loss: Mapping[Pair, Value]
    gate_weight: Mapping[Pair, Value]
    accuracy: Mapping[str, Value]
    learned_weight: Mapping[Pair, Value]


class StepTable:
    """A table with a row of metrics per step, which stays on the device until the epoch is over."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self._steps, self._device = steps, device
        self._keys: dict[str, list[Any]] = {}
        self._table = torch.empty(0)

    def add(self, step: int, metrics: StepMetrics[Tensor]) -> None:
        """Store the metrics of one step; all steps must have the same edges and nodes."""
        groups: dict[str, Mapping[Any, Tensor]] = vars(metrics)
        values = [value.detach().float() for group in groups.values() for value in group.values()]
        if not self._keys:
            self._keys = {name: list(group) for name, group in groups.items()}
            self._table = torch.zeros(self._steps, len(values), device=self._device)
        self._table[step] = torch.stack(values)

    def read(self) -> list[StepMetrics[float]]:
        """Return the metrics of all steps; only here the host waits for the device."""
        steps = []
        for row in self._table.tolist():
            values = iter(row)
            groups = {
                name: {key: next(values) for key in keys} for name, keys in self._keys.items()
            }
            steps.append(StepMetrics[float](**groups))
        return steps


def average_steps(steps: Sequence[StepMetrics[float]]) -> StepMetrics[float]:
    """Return the mean of every metric over the steps."""
    first: dict[str, Mapping[Any, float]] = vars(steps[0])
    return StepMetrics(
        **{
            name: {
                key: sum(getattr(step, name)[key] for step in steps) / len(steps) for key in group
            }
            for name, group in first.items()
        }
    )


def untrained(nodes: Iterable[str]) -> StepMetrics[float]:
    """Return the metrics of a training without steps: no edge has any, no node an accuracy."""
    nothing = dict.fromkeys(nodes, math.nan)
    return StepMetrics(loss={}, gate_weight={}, accuracy=nothing, learned_weight={})


def check_finite(
    steps: Sequence[StepMetrics[float]],
    epoch: int,
    rates: Mapping[str, float],
    names: Mapping[str, str],
) -> None:
    """Raise TrainingError, with edge, place and learning rates, for a loss that is not finite.

    `epoch` counts from 1; `names` are the user's names of the nodes.
    """
    # Only losses can be: a learned weight that overflows makes the loss of its step overflow too.
    for number, step in enumerate(steps, start=1):
        for pair, loss in step.loss.items():
            if not math.isfinite(loss):
                shown = ", ".join(f"{names[name]} {rate:.3g}" for name, rate in rates.items())
                raise TrainingError(
                    f"the loss of edge {edge_key(*_rename(pair, names))} became {loss} in epoch "
                    f"{epoch}, step {number} of {len(steps)} (learning rates: {shown}); "
                    "try a lower train.lr or set train.clip_norm"
                )


@dataclass(frozen=True)
class NodeMetrics:
    """One node in one epoch.

    Teachers have no learning rate; without a validation split there is no validation, and without
    steps no accuracy in them.
    """

    train_accuracy: float | None
    val_accuracy: float | None = None
    val_loss: float | None = None
    lr: float | None = None


@dataclass(frozen=True)
class EdgeMetrics:
    """One open edge in one epoch: means over the steps; `learned_weight` is None without one."""

    loss: float
    gate_weight: float
    learned_weight: float | None = None


@dataclass(frozen=True)
class EpochMetrics:
    """One epoch: `number` counts from 1; nodes and edges have the user's names.

    `scored` is the evaluation, on the validation split, of what is scored: the target, or the mean
    of all nodes' probabilities, whose evaluation is `ensemble` in either case. `kept_epoch` is the
    best epoch so far where the best weights are kept. `answers` are the logits (N, C) for that
    split, by node: of all after the last epoch, before it of none but what is scored.
    """

    number: int
    target: str
    nodes: Mapping[str, NodeMetrics]
    edges: Mapping[Pair, EdgeMetrics]
    seconds: float
    images_per_s: float
    peak_memory_bytes: int
    scored: Evaluation | None = None
    ensemble: Evaluation | None = None
    kept_epoch: int | None = None
    answers: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    @property
    def val_accuracy(self) -> float | None:
        """Accuracy in [0, 1] of what is scored on the validation split."""
        return self.scored.accuracy if self.scored else None

    @property
    def collapsed(self) -> bool | None:
        """Whether what is scored knows nothing after this epoch; None without a validation split.

        Nor is it said of networks that have not been trained yet.
        """
        return self.scored.collapsed if self.scored and self.number else None

    def metrics(self) -> dict[str, float]:
        """Return everything as flat dotted names, as the tracking store keeps them."""
        flat: dict[str, float | None] = {"collapsed": self.collapsed, "kept_epoch": self.kept_epoch}
        if self.scored:
            flat |= {f"val_{name}": getattr(self.scored, name) for name in SCORES}
        flat |= {"epoch_s": self.seconds, "images_per_s": self.images_per_s}
        flat |= {"peak_memory_mib": self.peak_memory_bytes / 2**20}
        if self.ensemble:
            flat |= {"ensemble.val_accuracy": self.ensemble.accuracy}
            flat |= {"ensemble.val_loss": self.ensemble.loss}
        for name, node in self.nodes.items():
            flat |= {f"nodes.{name}.{key}": value for key, value in vars(node).items()}
        for pair, edge in self.edges.items():
            path = edge_path(*pair)
            # Stored names, the same in every version, so that reports read old stores, too.
            flat |= {f"{path}.loss": edge.loss, f"{path}.openness": edge.gate_weight}
            flat |= {f"{path}.weight": edge.learned_weight}
        return {key: float(value) for key, value in flat.items() if value is not None}


def summarize(
    means: StepMetrics[float],
    evaluations: Mapping[str, Evaluation],
    rates: Mapping[str, float],
    names: Mapping[str, str],
) -> tuple[dict[str, NodeMetrics], dict[Pair, EdgeMetrics]]:
    """Return the metrics of every node and of every open edge of an epoch, by the user's names."""
    nodes, edges = {}, {}
    for name, accuracy in means.accuracy.items():
        seen = evaluations.get(name)
        val_accuracy, val_loss = (seen.accuracy, seen.loss) if seen else (None, None)
        seen_in_steps = None if math.isnan(accuracy) else accuracy
        nodes[names[name]] = NodeMetrics(seen_in_steps, val_accuracy, val_loss, rates.get(name))
    for pair, loss in means.loss.items():
        learned = means.learned_weight.get(pair)
        edges[_rename(pair, names)] = EdgeMetrics(loss, means.gate_weight[pair], learned)
    return nodes, edges


def collect_answers(
    evaluations: Mapping[str, Evaluation], names: Mapping[str, str]
) -> dict[str, Tensor]:
    """Return the logits of the nodes that were measured in full, by the user's names."""
    return {
        own: evaluations[name].logits  # type: ignore[misc]
        for name, own in names.items()
        if name in evaluations and evaluations[name].logits is not None
    }


def measure_peak_memory(device: torch.device) -> int:
    """Return the most bytes of memory used so far: of the GPU, or else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # which only macOS gives in bytes


def _rename(pair: Pair, names: Mapping[str, str]) -> Pair:
    source, target = pair
    return LABEL if source == LABEL else names[source], names[target]
