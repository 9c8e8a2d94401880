"""Computes the losses of all edges of a graph on one batch, and from these those of its nodes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor
from torch.nn import functional

from ktg.graph import LABEL, Edge, Graph
from ktg.graph.canonical import open_edges
from ktg.graph.vocabulary import KEEPING_GATES, LossName
from ktg.training.adapters import Adapter, Pair
from ktg.training.gates import GATES
from ktg.training.label_weights import shift_to_weights, weigh_by_class
from ktg.training.losses import (
    attention,
    bootstrap,
    ce,
    dist,
    dkd,
    embedding,
    feature,
    gce,
    js,
    kl,
    log_probabilities,
    sce,
    weigh_by_uncertainty,
)
from ktg.training.sinkhorn import emd

NO_ADAPTER = Adapter([])


class NodeOutputs:
    """What the nodes make of one batch; what several edges need is computed once and shared.

    `maps` (B, C, H, W), the last first, and `features` (B, D), what their heads are given, are
    those of the nodes of which some edge compares them. `weights` (B,) say how much each label
    counts, None where all count alike. Nodes that see images without labels have more rows than
    there are labels; these come last.
    """

    def __init__(
        self,
        logits: Mapping[str, Tensor],
        labels: Tensor,
        maps: Mapping[str, Sequence[Tensor]] = MappingProxyType({}),
        features: Mapping[str, Tensor] = MappingProxyType({}),
        weights: Tensor | None = None,
    ) -> None:
        self.logits, self.maps, self.features = logits, maps, features
        self.weights = weights
        self.labels = labels  # int64 (B,), or probabilities (B, C) where images were mixed
        self.hard_labels = labels if labels.ndim == 1 else labels.argmax(dim=1)
        self._log_probabilities: dict[tuple[str, float], Tensor] = {}
        self._right: dict[str, Tensor] = {}
        self._predicted: dict[str, Tensor] = {}
        self._label_loss: dict[str, Tensor] = {}

    def log_probabilities(self, node: str, temperature: float) -> Tensor:
        """Return log-probabilities (B, C) of a node, with gradients."""
        key = (node, temperature)
        if key not in self._log_probabilities:
            self._log_probabilities[key] = log_probabilities(self.logits[node], temperature)
        return self._log_probabilities[key]

    def right(self, node: str) -> Tensor:
        """Return bool (B,): whether the node's most probable class is the label; `label` always is.

        Of two mixed labels the heavier counts.
        """
        if node not in self._right:
            if node == LABEL:
                self._right[node] = torch.ones_like(self.hard_labels, dtype=torch.bool)
            else:
                self._right[node] = self.labelled(self.predicted(node)) == self.hard_labels
        return self._right[node]

    def predicted(self, node: str) -> Tensor:
        """Return the most probable class (B,) of a node, for all its rows."""
        if node not in self._predicted:
            self._predicted[node] = self.logits[node].detach().argmax(dim=1)
        return self._predicted[node]

    def label_loss(self, node: str) -> Tensor:
        """Return the cross-entropy (B,) of the labels in the eyes of a node, without gradients."""
        if node not in self._label_loss:
            seen = self.labelled(self.log_probabilities(node, 1.0).detach())
            self._label_loss[node] = ce(seen, self.labels)
        return self._label_loss[node]

    def labelled(self, values: Tensor) -> Tensor:
        """Return the rows of a node's values that have a label."""
        return values if len(values) == len(self.labels) else values[: len(self.labels)]


@dataclass(frozen=True)
class EdgeInputs:
    """Everything the loss of an edge may read; the properties compute only what that loss asks for.

    Nothing of the source has gradients, so no loss can train the node it learns from. `smoothing`
    and `class_weights` (C,) are those of the labels; `progress` lies in [0, 1].
    """

    pair: Pair
    edge: Edge
    nodes: NodeOutputs
    smoothing: float = 0.0
    adapter: Adapter = NO_ADAPTER
    class_weights: Tensor | None = None
    progress: float = 0.0

    @property
    def right(self) -> Tensor:
        """Whether the source predicts the label, bool (B,)."""
        right = self.nodes.right(self.pair[0])
        if self.edge.needs_label:
            return right
        # Only edges whose gate does not read `right` see images without labels, so any value will
        # do for these.
        rows = len(self.nodes.logits[self.pair[1]])
        return functional.pad(right, (0, rows - len(right)))

    @property
    def peer(self) -> str:
        """The node that gate and loss ask: the source, or that of an edge from the label."""
        return self.pair[0] if self.pair[0] != LABEL else self.edge.peer or self.pair[1]

    @property
    def peer_loss(self) -> Tensor:
        """The cross-entropies (B,) of the labels in the eyes of the peer, without gradients.

        Infinite where a label is not used, as its weight is 0.
        """
        loss, weights = self.nodes.label_loss(self.peer), self.nodes.weights
        return loss if weights is None else loss.masked_fill(weights == 0, torch.inf)

    @property
    def label_weights(self) -> Tensor | None:
        """How much each label counts (B,), for an edge that reads labels; None for all alike."""
        return self.nodes.weights if self.edge.needs_label else None

    @property
    def same(self) -> Tensor:
        """Whether the peer and the target predict one class, bool (B,)."""
        one, other = (self._rows(self.nodes.predicted(name)) for name in (self.peer, self.pair[1]))
        return one == other

    @property
    def noise(self) -> float:
        """The share of wrong labels that the edge names."""
        assert not isinstance(self.edge.noise, str)  # noqa: S101 - graphs with auto are not built
        return self.edge.noise

    @property
    def labels(self) -> Tensor:
        """The labels as the loss of an edge from `label` reads them (B,), or mixed ones (B, C).

        Of the two classes of a mixed one each counts by its weight.
        """
        labels, weights = self.nodes.labels, self.class_weights
        return labels if weights is None else shift_to_weights(weights, labels)

    @property
    def log_peer(self) -> Tensor:
        """Log-probabilities (B, C) of the peer, without gradients."""
        return self._rows(self.nodes.log_probabilities(self.peer, 1.0).detach())

    @property
    def temperature(self) -> float:
        """The softmax temperature of both ends; the label has none."""
        return 1.0 if self.pair[0] == LABEL else self.edge.temperature

    @property
    def log_p(self) -> Tensor:
        """Log-probabilities (B, C) of the source at the edge's temperature, without gradients."""
        return self._rows(self.nodes.log_probabilities(self.pair[0], self.temperature).detach())

    @property
    def log_q(self) -> Tensor:
        """Log-probabilities (B, C) of the target at the edge's temperature."""
        return self._rows(self.nodes.log_probabilities(self.pair[1], self.temperature))

    @property
    def maps(self) -> list[tuple[Tensor, Tensor]]:
        """Pairs of float32 maps (B, C, H, W) of source and target to compare, the last first."""
        pairs = zip(*(self.nodes.maps[name] for name in self.pair), strict=False)
        return [
            (self._rows(source).detach().float(), self._rows(target).float())
            for source, target in list(pairs)[: self.edge.maps]
        ]

    @property
    def projected_maps(self) -> list[tuple[Tensor, Tensor]]:
        """The same, with the target's maps projected to as many channels as the source's have."""
        pairs = zip(self.maps, self.adapter.projections, strict=True)
        return [(source, project(target)) for (source, target), project in pairs]

    @property
    def projected_features(self) -> tuple[Tensor, Tensor]:
        """Features (B, D) of the source, and the target's projected to that D, in float32."""
        source, target = (self._rows(self.nodes.features[name]).float() for name in self.pair)
        (project,) = self.adapter.projections
        return source.detach(), project(target)

    @property
    def distance(self) -> Tensor:
        """Distances (C, C) between the classes, the largest 1."""
        assert self.adapter.distance is not None  # noqa: S101 - every emd edge is built with one
        return self.adapter.distance

    def _rows(self, values: Tensor) -> Tensor:
        return self.nodes.labelled(values) if self.edge.needs_label else values


def _decoupled(inputs: EdgeInputs) -> Tensor:
    edge, labels = inputs.edge, inputs.nodes.hard_labels
    return dkd(inputs.log_p, inputs.log_q, labels, edge.alpha, edge.beta)


def _bootstrapped(inputs: EdgeInputs) -> Tensor:
    share = inputs.edge.trust * inputs.progress
    return bootstrap(inputs.log_peer, inputs.log_q, inputs.labels, share, inputs.smoothing)


def _mean_over(maps: list[tuple[Tensor, Tensor]], loss: Callable[..., Tensor]) -> Tensor:
    """Return the mean (B,) of a loss over several pairs of maps."""
    return torch.stack([loss(p, q) for p, q in maps]).mean(dim=0)


# The per-sample loss (B,) behind each name in a graph. A new loss also needs its name in `LossName`
# of `ktg.graph.vocabulary` and, if it reads a temperature, in `_USED_BY` of `ktg.graph.canonical`.
# The factors make up for what a temperature T does to the gradients: that of kl, js and dkd falls
# with T^2 (Hinton et al., 2015), that of emd with T. That of dist is as its authors' code has it.
LOSSES: Mapping[LossName, Callable[[EdgeInputs], Tensor]] = {
    "ce": lambda inputs: ce(inputs.log_q, inputs.labels, inputs.smoothing),
    "gce": lambda inputs: gce(inputs.log_q, inputs.labels, inputs.edge.exponent, inputs.smoothing),
    "sce": lambda inputs: sce(
        inputs.log_q, inputs.labels, inputs.edge.alpha, inputs.edge.beta, inputs.smoothing
    ),
    "bootstrap": _bootstrapped,
    "kl": lambda inputs: kl(inputs.log_p, inputs.log_q) * inputs.temperature**2,
    "js": lambda inputs: js(inputs.log_p, inputs.log_q) * inputs.temperature**2,
    "dkd": lambda inputs: _decoupled(inputs) * inputs.temperature**2,
    "emd": lambda inputs: emd(inputs.log_p, inputs.log_q, inputs.distance) * inputs.temperature,
    "dist": lambda inputs: dist(inputs.log_p, inputs.log_q) * inputs.temperature**2,
    "attention": lambda inputs: _mean_over(inputs.maps, attention),
    "feature": lambda inputs: _mean_over(inputs.projected_maps, feature),
    "embedding": lambda inputs: embedding(*inputs.projected_features),
}


@dataclass(frozen=True)
class EdgeLoss:
    """One edge on one batch: its weighted loss and the mean weight of its gate, both scalars."""

    value: Tensor
    gate_weight: Tensor


def edge_loss(inputs: EdgeInputs) -> EdgeLoss:
    """Return the loss that flows along one open edge; no gradient ever reaches its source."""
    edge, adapter = inputs.edge, inputs.adapter
    per_sample = LOSSES[edge.loss](inputs)
    if inputs.class_weights is not None and inputs.pair[0] == LABEL:
        per_sample = per_sample * weigh_by_class(inputs.class_weights, inputs.nodes.labels)
    if adapter.log_variance is not None:
        per_sample = weigh_by_uncertainty(per_sample, adapter.log_variance)
    weight = GATES[edge.gate](inputs, inputs.progress, per_sample.dtype)
    felt = weight if inputs.label_weights is None else weight * inputs.label_weights
    gate_weight, value = weight.mean(), (felt * per_sample).mean()
    if not isinstance(edge.weight, str):
        value = value * edge.weight
    if edge.gate in KEEPING_GATES and edge.over == "kept":
        # Turns the mean over the batch into that over the samples let through. Without any, value
        # is 0 and the clamp keeps 0 / 0 away without asking the device how many there are.
        value = value / felt.mean().clamp(min=torch.finfo(felt.dtype).tiny)
    return EdgeLoss(value, gate_weight)


def edge_losses(
    graph: Graph,
    nodes: NodeOutputs,
    progress: float,
    adapters: Mapping[Pair, Adapter] = MappingProxyType({}),
    class_weights: Tensor | None = None,
) -> dict[Pair, EdgeLoss]:
    """Return the loss of every open edge of the graph, at `progress` in [0, 1].

    class_weights: float (C,), by which edges from the label weigh their images.
    """
    smoothing = graph.train.label_smoothing
    losses = {}
    for pair, edge in open_edges(graph).items():
        adapter = adapters.get(pair, NO_ADAPTER)
        inputs = EdgeInputs(pair, edge, nodes, smoothing, adapter, class_weights, progress)
        losses[pair] = edge_loss(inputs)
    return losses


def sum_per_node(graph: Graph, losses: Mapping[Pair, EdgeLoss]) -> dict[str, Tensor]:
    """Return the loss of every node that has an open incoming edge, in the graph's order."""
    totals: dict[str, Tensor] = {}
    for node in graph.nodes:
        incoming = {source: loss.value for (source, end), loss in losses.items() if end == node}
        label = [value for source, value in incoming.items() if source == LABEL]
        others = [value for source, value in incoming.items() if source != LABEL]
        if graph.train.aggregate == "mean" and others:
            others = [sum(others[1:], start=others[0]) / len(others)]
        if label or others:
            first, *rest = label + others
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
    return sum_per_node(graph, edge_losses(graph, NodeOutputs(logits, labels), progress))
