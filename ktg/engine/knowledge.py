"""The losses of a knowledge-transfer graph on one batch: from every node's logits to every node's loss."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ktg.canonical import open_edges
from ktg.gates import GATES
from ktg.losses import NODE_LOSSES, ce, log_probabilities
from ktg.spec import LABEL, Edge, Graph, Train

Pair = tuple[str, str]


@dataclass(frozen=True)
class EdgeLoss:
    """One edge on one batch: its weighted loss and how far its gate stood open, both scalars on the device."""

    value: Tensor
    openness: Tensor


class Batch:
    """What the nodes say of one batch, with everything that several edges share computed once."""

    def __init__(self, logits: Mapping[str, Tensor], labels: Tensor) -> None:
        self.logits = logits
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
                self._right[node] = self.logits[node].detach().argmax(dim=1) == self.hard
        return self._right[node]


def edge_loss(pair: Pair, edge: Edge, batch: Batch, progress: float, train: Train) -> EdgeLoss:
    """Return the loss that flows along one open edge; no gradient ever reaches its source."""
    source, target = pair
    if source == LABEL:
        log_q = batch.log_probabilities(target, 1.0)
        per_sample = ce(log_q, batch.labels, train.label_smoothing)
    else:
        log_p = batch.log_probabilities(source, edge.temperature).detach()
        log_q = batch.log_probabilities(target, edge.temperature)
        per_sample = NODE_LOSSES[edge.loss](log_p, log_q) * edge.temperature**2  # type: ignore[index]
    weight = GATES[edge.gate](batch.right(source), progress, per_sample.dtype)
    openness = weight.mean()
    value = (weight * per_sample).mean() * edge.weight
    if edge.gate == "correct" and edge.over == "kept":
        value = value / openness.clamp(min=1 / len(weight))  # mean over the kept: an empty batch gives 0
    return EdgeLoss(value, openness)


def edge_losses(graph: Graph, batch: Batch, progress: float) -> dict[Pair, EdgeLoss]:
    """Return the loss of every open edge of the graph."""
    return {pair: edge_loss(pair, edge, batch, progress, graph.train) for pair, edge in open_edges(graph).items()}


def sum_per_node(graph: Graph, losses: Mapping[Pair, EdgeLoss]) -> dict[str, Tensor]:
    """Return the loss of every node that has an open incoming edge, in the graph's order."""
    totals: dict[str, Tensor] = {}
    for node in graph.nodes:
        label = [loss.value for (source, target), loss in losses.items() if target == node and source == LABEL]
        nodes = [loss.value for (source, target), loss in losses.items() if target == node and source != LABEL]
        if graph.train.aggregate == "mean" and nodes:
            nodes = [sum(nodes[1:], start=nodes[0]) / len(nodes)]
        if label or nodes:
            first, *rest = label + nodes
            totals[node] = sum(rest, start=first)
    return totals


def node_losses(graph: Graph, logits: Mapping[str, Tensor], labels: Tensor, progress: float) -> dict[str, Tensor]:
    """Return the loss of every node on one batch, as scalars with gradients, in the graph's order.

    The loss of a node is the sum over its open incoming edges of the mean over the batch of gate weight times
    per-sample loss, times the edge's weight and its squared temperature (Minami et al., ACCV 2020). Nodes without an
    open incoming edge have no entry. Sources are detached, so the gradients of different nodes never mix and one
    backward pass of the sum of all losses trains them all.

    `logits` holds (B, C) per node, `labels` is int64 (B,), `progress` lies in [0, 1].
    """
    return sum_per_node(graph, edge_losses(graph, Batch(logits, labels), progress))
