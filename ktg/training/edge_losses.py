"""The losses of a knowledge-transfer graph on one batch: from what the nodes make of it to every node's loss."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from ktg.graph import LABEL, Edge, Graph, Train
from ktg.graph.canonical import open_edges
from ktg.graph.spec import MAP_LOSSES
from ktg.training.adapters import Adapter, Pair
from ktg.training.gates import GATES
from ktg.training.losses import (
    NODE_LOSSES,
    attention,
    ce,
    dkd,
    feature,
    log_probabilities,
    uncertain,
)
from ktg.training.sinkhorn import emd

NO_ADAPTERS: Mapping[Pair, Adapter] = MappingProxyType({})


@dataclass(frozen=True)
class EdgeLoss:
    """One edge on one batch: its weighted loss and how far its gate stood open, both scalars on the device."""

    value: Tensor
    openness: Tensor


class Batch:
    """What the nodes say of one batch, with everything that several edges share computed once.

    `maps` (B, C, H, W), the last first, are those of the nodes whose maps some edge compares. Nodes
    that see images without labels have more rows than there are labels; these come last.
    """

    def __init__(
        self,
        logits: Mapping[str, Tensor],
        labels: Tensor,
        maps: Mapping[str, Sequence[Tensor]] = MappingProxyType({}),
    ) -> None:
        self.logits, self.maps = logits, maps
        self.labels = labels  # int64 (B,), or probabilities (B, C) where images were mixed
        self.hard = labels if labels.ndim == 1 else labels.argmax(dim=1)
        self._log_probabilities: dict[tuple[str, float], Tensor] = {}
        self._right: dict[str, Tensor] = {}

    def log_probabilities(self, node: str, temperature: float) -> Tensor:
        """Return log-probabilities (B, C) of a node, attached to its graph of gradients."""
        key = (node, temperature)
        if key not in self._log_probabilities:
            self._log_probabilities[key] = log_probabilities(self.logits[node], temperature)
        return self._log_probabilities[key]

    def right(self, node: str) -> Tensor:
        """Return bool (B,): whether the node's most probable class is the label; the label itself always is.

        Of two mixed labels it is the heavier.
        """
        if node not in self._right:
            if node == LABEL:
                self._right[node] = torch.ones_like(self.hard, dtype=torch.bool)
            else:
                self._right[node] = (
                    self.labelled(self.logits[node]).detach().argmax(dim=1) == self.hard
                )
        return self._right[node]

    def labelled(self, values: Tensor) -> Tensor:
        """Return the rows of a node's values that have a label."""
        return values if len(values) == len(self.labels) else values[: len(self.labels)]


def edge_loss(
    pair: Pair,
    edge: Edge,
    batch: Batch,
    progress: float,
    train: Train,
    adapter: Adapter | None = None,
) -> EdgeLoss:
    """Return the loss that flows along one open edge; no gradient ever reaches its source."""
    per_sample = _per_sample(pair, edge, batch, train, adapter)
    if adapter is not None and adapter.log_variance is not None:
        per_sample = uncertain(per_sample, adapter.log_variance)
    right = batch.right(pair[0])
    if len(right) < len(
        per_sample
    ):  # gates of edges that see images without labels do not ask who is right
        right = torch.nn.functional.pad(right, (0, len(per_sample) - len(right)))
    weight = GATES[edge.gate](right, progress, per_sample.dtype)
    openness = weight.mean()
    value = (weight * per_sample).mean()
    if not isinstance(edge.weight, str):
        value = value * edge.weight
    if edge.gate == "correct" and edge.over == "kept":
        value = value / openness.clamp(
            min=1 / len(weight)
        )  # mean over the kept: an empty batch gives 0
    return EdgeLoss(value, openness)


def _per_sample(
    pair: Pair, edge: Edge, batch: Batch, train: Train, adapter: Adapter | None
) -> Tensor:
    """Return the loss (B,) of an edge before its gate and weight; of labelled images only, where it needs labels."""
    source, target = pair
    rows = batch.labelled if edge.needs_label else _all
    if source == LABEL:
        return ce(rows(batch.log_probabilities(target, 1.0)), batch.labels, train.label_smoothing)
    if edge.loss in MAP_LOSSES:
        return _of_maps(
            edge, list(map(rows, batch.maps[source])), list(map(rows, batch.maps[target])), adapter
        )
    log_p = rows(batch.log_probabilities(source, edge.temperature).detach())
    log_q = rows(batch.log_probabilities(target, edge.temperature))
    if edge.loss == "emd":
        # For the type checker.
        assert adapter is not None and adapter.distance is not None  # noqa: S101
        return (
            emd(log_p, log_q, adapter.distance) * edge.temperature
        )  # whose gradient falls with T, and not with T^2
    if edge.loss == "dkd":
        per_sample = dkd(log_p, log_q, batch.hard, edge.alpha, edge.beta)
    else:
        per_sample = NODE_LOSSES[edge.loss](log_p, log_q)  # type: ignore[index]
    return per_sample * edge.temperature**2


def _all(values: Tensor) -> Tensor:
    return values


def _of_maps(
    edge: Edge, source: Sequence[Tensor], target: Sequence[Tensor], adapter: Adapter | None
) -> Tensor:
    """Return the loss (B,) of an edge that compares maps: the mean over the pairs of maps."""
    pairs = list(zip(source, target, strict=False))[: edge.maps]
    each = []
    for place, (maps_p, maps_q) in enumerate(pairs):
        known, taught = maps_p.detach().float(), maps_q.float()
        if edge.loss == "feature":
            assert adapter is not None  # noqa: S101
            each.append(feature(known, adapter.projections[place](taught)))
        else:
            each.append(attention(known, taught))
    return torch.stack(each).mean(dim=0)


def edge_losses(
    graph: Graph, batch: Batch, progress: float, adapters: Mapping[Pair, Adapter] = NO_ADAPTERS
) -> dict[Pair, EdgeLoss]:
    """Return the loss of every open edge of the graph."""
    return {
        pair: edge_loss(pair, edge, batch, progress, graph.train, adapters.get(pair))
        for pair, edge in open_edges(graph).items()
    }


def sum_per_node(graph: Graph, losses: Mapping[Pair, EdgeLoss]) -> dict[str, Tensor]:
    """Return the loss of every node that has an open incoming edge, in the graph's order."""
    totals: dict[str, Tensor] = {}
    for node in graph.nodes:
        label = [
            loss.value
            for (source, target), loss in losses.items()
            if target == node and source == LABEL
        ]
        nodes = [
            loss.value
            for (source, target), loss in losses.items()
            if target == node and source != LABEL
        ]
        if graph.train.aggregate == "mean" and nodes:
            nodes = [sum(nodes[1:], start=nodes[0]) / len(nodes)]
        if label or nodes:
            first, *rest = label + nodes
            totals[node] = sum(rest, start=first)
    return totals


def node_losses(
    graph: Graph, logits: Mapping[str, Tensor], labels: Tensor, progress: float
) -> dict[str, Tensor]:
    """Return the loss of every node on one batch, as scalars with gradients, in the graph's order.

    The loss of a node is the sum over its open incoming edges of the mean over the batch of gate
    weight times per-sample loss, times the edge's weight and its squared temperature (Minami et
    al., ACCV 2020). Nodes without an open incoming edge have no entry. Sources are detached, so the
    gradients of different nodes never mix and one backward pass of the sum of all losses trains
    them all.

    `logits` holds (B, C) per node, `labels` is int64 (B,), `progress` lies in [0, 1]. For graphs
    whose edges need nothing but logits: neither maps, nor distances of classes, nor learned
    weights.
    """
    return sum_per_node(graph, edge_losses(graph, Batch(logits, labels), progress))
