"""What a graph really trains: its live nodes and teachers, and a form shared by all graphs that train the same target.

Two graphs that differ only in the names or the order of auxiliary nodes, in edges that are cut, in
nodes that are not live, or in fields that do nothing where they stand, have equal `canonical` forms
and equal `canonical_key`s.
"""

import hashlib
import itertools
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

from ktg.errors import SpecError
from ktg.graph.fields import to_plain
from ktg.graph.parse import dump
from ktg.graph.spec import IMAGENET, LABEL, MAP_LOSSES, Edge, Graph, LossName, Node, SourceFile

Matrix = Sequence[Sequence[str]]
# Fields of an edge that do something only where its loss is one of these.
USED_BY: dict[str, tuple[LossName, ...]] = {
    "temperature": ("kl", "js", "dkd", "emd"),
    "alpha": ("dkd",),
    "beta": ("dkd",),
    "distance": ("emd",),
    "maps": MAP_LOSSES,
}
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Edge)}


def open_edges(graph: Graph) -> dict[tuple[str, str], Edge]:
    """Return the edges whose gate ever lets something through, by (source, target)."""
    return {pair: edge for pair, edge in graph.edges.items() if edge.gate != "cutoff"}


def live_nodes(graph: Graph) -> tuple[str, ...]:
    """Return the nodes that count for what is scored, in the graph's order.

    These are the nodes from which the target is reached along open edges; of an ensemble, all that
    have an open edge.
    """
    edges = open_edges(graph)
    found = (
        {name for pair in edges for name in pair}
        if graph.ensemble
        else _find_ancestors(graph.target, edges)
    )
    return tuple(name for name in graph.nodes if name in found)


def teachers(graph: Graph) -> tuple[str, ...]:
    """Return the live nodes that nothing teaches: they are trained beforehand and never updated.

    The target is one of them only where it is a part of an ensemble.
    """
    taught = {target for _, target in open_edges(graph)}
    return tuple(
        name
        for name in live_nodes(graph)
        if name not in taught and (graph.ensemble or name != graph.target)
    )


def target_learns(graph: Graph) -> bool:
    """Return whether an open edge ends at the target; of an ensemble, whether one begins or ends there."""
    return any(graph.target in (pair if graph.ensemble else pair[1:]) for pair in open_edges(graph))


def check_trainable(graph: Graph) -> None:
    """Raise SpecError unless the target is taught (`target_learns`), and every live node that is taught to classify."""
    _check_heads(graph)
    if not target_learns(graph):
        raise SpecError(
            "edges",
            f"nothing teaches the target {graph.target!r}: every edge into it is missing or cut off; "
            f"open one, for example `label -> {graph.target}: {{gate: through}}`",
        )


def _check_heads(graph: Graph) -> None:
    """Raise SpecError for a live node that is taught by maps alone: nothing would ever reach its head."""
    edges, alive = open_edges(graph), live_nodes(graph)
    by_maps = [pair for pair, edge in edges.items() if edge.loss in MAP_LOSSES]
    heads = {target for (_, target), edge in edges.items() if edge.loss not in MAP_LOSSES}
    for source, target in by_maps:
        if target in alive and target not in heads:
            raise SpecError(
                f"edges.{source}.{target}.loss",
                f"{edges[source, target].loss} compares maps, and nothing else teaches {target!r}, so its head would "
                f"learn nothing; open `label -> {target}`, or an edge to it with loss kl",
            )


def canonical_key(graph: Graph) -> str:
    """Return a SHA-256 (64 hex digits) that two graphs share exactly when their canonical forms are equal."""
    return form_key(canonical(graph))


def seedless_key(graph: Graph) -> str:
    """Return the key of a graph apart from its seed."""
    return canonical_key(with_seed(graph, 0))


def with_seed(graph: Graph, seed: int) -> Graph:
    """Return the graph with another seed."""
    return replace(graph, train=replace(graph.train, seed=seed))


def form_key(form: Graph) -> str:
    """Return the key of a graph that is in its canonical form already."""
    return hashlib.sha256(_text(dump(form)).encode()).hexdigest()


def canonical(graph: Graph) -> Graph:
    """Return the graph that trains the same target with nodes n0 (the target), n1, ... and nothing superfluous.

    In an ensemble no node is more than another, so there n0 may be any of them.
    """
    return canonical_with_names(graph)[0]


def canonical_with_names(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """Return the canonical graph, and the name there of each live node of `graph`."""
    alive = live_nodes(graph)
    edges = {
        pair: _simplify_edge(edge, pair)
        for pair, edge in open_edges(graph).items()
        if pair[1] in alive
    }
    nodes = {name: _simplify_node(graph, graph.nodes[name]) for name in alive}
    colours = [_text([to_plain(nodes[v]), _edge_text(edges.get((LABEL, v)))]) for v in alive]
    labels = [[_edge_text(edges.get((source, target))) for target in alive] for source in alive]
    ensemble = graph.ensemble and len(alive) > 1
    order = [alive[i] for i in canonical_order(colours, labels, first_stays=not ensemble)]
    names = {name: f"n{i}" for i, name in enumerate(order)}
    pairs = [
        (source, target)
        for target in order
        for source in (LABEL, *order)
        if (source, target) in edges
    ]
    used = {graph.nodes[name].source for name in order}
    published = {graph.nodes[name].model for name in order if graph.nodes[name].source == IMAGENET}
    seen = any(not edge.needs_label for edge in edges.values())
    form = Graph(
        data=graph.data if seen else replace(graph.data, unlabelled=None),
        train=replace(graph.train, aggregate=_simplify_aggregate(graph, pairs)),
        nodes={names[name]: nodes[name] for name in order},
        edges={
            (names.get(source, LABEL), names[target]): edges[source, target]
            for source, target in pairs
        },
        sources={
            name: _simplify_file(file)
            for name, file in sorted(graph.sources.items())
            if name in used
        },
        weights={
            name: _simplify_file(file)
            for name, file in sorted(graph.weights.items())
            if name in published
        },
        ensemble=ensemble,
    )
    return form, names


def independent_graph(graph: Graph, node: str) -> Graph:
    """Return the graph of one node that trains `node` by itself: same data and settings, the labels as only teacher.

    A teacher gets its weights from the solo run of its node; equal nodes share one run because they
    share its `canonical_key`.
    """
    alone = replace(
        graph,
        nodes={"n0": graph.nodes[node]},
        edges={(LABEL, "n0"): Edge(loss="ce", gate="through")},
        provenance={},
    )
    return canonical(alone)


def canonical_order(
    colours: Sequence[str], labels: Matrix, *, first_stays: bool = True
) -> tuple[int, ...]:
    """Return the order of the nodes 0 .. n-1 in which a coloured, edge-labelled digraph looks smallest.

    `labels[i][j]` is the label of the edge i -> j, empty where there is none. Two graphs that are
    isomorphic (with node 0 on node 0 where `first_stays`) look the same in their orders: colour
    refinement splits the nodes, and where nodes remain alike each is tried in turn, as in McKay &
    Piperno, "Practical graph isomorphism II" (2014). Nodes whose exchange changes nothing are tried
    once, so that n equal nodes need n steps and not n! of them.
    """
    leaves = _leaves(
        _ranks([(first_stays and i > 0, colour) for i, colour in enumerate(colours)]), labels
    )
    return min(leaves, key=lambda order: [[labels[i][j] for j in order] for i in order])


def _leaves(ranks: list[int], labels: Matrix) -> Iterator[tuple[int, ...]]:
    """Yield the orders in which refinement ends, over all choices among nodes that it cannot tell apart."""
    ranks = _refine(ranks, labels)
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    if max(ranks) == len(ranks) - 1:
        yield tuple(order)
        return
    tied = next(ranks[i] for i, j in itertools.pairwise(order) if ranks[i] == ranks[j])
    tried: list[int] = []
    for i in order:
        if ranks[i] == tied and not any(_twins(i, j, labels) for j in tried):
            tried.append(i)
            yield from _leaves(
                _ranks([(rank, rank == tied and j != i) for j, rank in enumerate(ranks)]), labels
            )


def _refine(ranks: list[int], labels: Matrix) -> list[int]:
    """Split nodes of one rank by the edges they share with nodes of each rank, until nothing splits."""
    everyone = range(len(ranks))
    while max(ranks) < len(ranks) - 1:
        split = _ranks(
            [
                (ranks[i], sorted([(labels[i][j], labels[j][i], ranks[j]) for j in everyone]))
                for i in everyone
            ]
        )
        if max(split) == max(ranks):
            break
        ranks = split
    return ranks


def _ranks(values: Sequence[Any]) -> list[int]:
    """Return each value's place among the different values."""
    ordered: list[Any] = []
    for value in sorted(values):
        if not ordered or value != ordered[-1]:
            ordered.append(value)
    return [ordered.index(value) for value in values]


def _twins(i: int, j: int, labels: Matrix) -> bool:
    """Whether exchanging two nodes of one rank leaves every edge as it is."""
    others = [k for k in range(len(labels)) if k not in (i, j)]
    return labels[i][j] == labels[j][i] and all(
        labels[i][k] == labels[j][k] and labels[k][i] == labels[k][j] for k in others
    )


def _find_ancestors(target: str, edges: Collection[tuple[str, str]]) -> set[str]:
    found, waiting = {target}, [target]
    while waiting:
        node = waiting.pop()
        sources = {source for source, end in edges if end == node and source != LABEL} - found
        found |= sources
        waiting += sources
    return found


def _simplify_edge(edge: Edge, pair: tuple[str, str]) -> Edge:
    """Return the edge with every field that does nothing there at its default."""
    for field, losses in USED_BY.items():
        if edge.loss not in losses:
            edge = replace(edge, **{field: _DEFAULTS[field]})
    if pair[0] == LABEL:  # the label is always right
        edge = replace(edge, gate="through" if edge.gate == "correct" else edge.gate)
    return edge if edge.gate == "correct" else replace(edge, over="batch")


def _simplify_node(graph: Graph, node: Node) -> Node:
    """Return the node with every field that does nothing there at its default, and one way to unfreeze everything."""
    if node.frozen_epochs >= graph.train.epochs:
        node = replace(
            node, unfreeze_from=None, unfreeze_every=None, backbone_lr_scale=1.0, layer_decay=1.0
        )
    if node.frozen_epochs >= graph.train.epochs or node.source == "none":
        node = replace(node, frozen_norm=False)
    default = "basic" if graph.data.augment == "cutmix_or_mixup" else graph.data.augment
    if node.augment == default:
        node = replace(node, augment=None)
    if (node.augment or default) == "none" or not (node.frozen_epochs or node.unfreeze_from):
        node = replace(node, frozen_views=None)
    return replace(node, unfreeze_from=node.unfreeze_from or None)


def _simplify_file(file: SourceFile) -> SourceFile:
    """Return a file of weights without what is only said about it."""
    return replace(file, origin=None, accuracy=None, labels=None)


def _simplify_aggregate(graph: Graph, pairs: Sequence[tuple[str, str]]) -> Any:
    """Return `aggregate` as it is where a node has two teachers; the mean over a single one is the sum."""
    ends = [target for source, target in pairs if source != LABEL]
    return graph.train.aggregate if len(set(ends)) < len(ends) else "sum"


def _edge_text(edge: Edge | None) -> str:
    return "" if edge is None else _text(to_plain(edge))


def _text(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))
