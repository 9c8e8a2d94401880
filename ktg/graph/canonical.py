"""Finds what a graph really trains, and a form that all graphs share which train the same target.

Two graphs have equal canonical forms and equal keys when they differ only in the names or the order
of auxiliary nodes, in cut edges, in nodes from which no open edges lead to the target, or in fields
that do nothing where they stand. So a search trains each graph once, however it is written:

>>> from ktg.graph.parse import parse
>>> data, small, large = {"name": "digits"}, {"model": "resnet8"}, {"model": "resnet20"}
>>> nodes = {"student": small, "teacher": large, "idle": small}
>>> edges = {"label -> student": {}, "label -> teacher": {}, "teacher -> student": {}}
>>> first = parse({"data": data, "nodes": nodes, "edges": edges | {"student -> idle": {}}})
>>> form = canonicalise(first)  # `idle` is gone: nothing leads from it to the target
>>> list(form.nodes), list(form.edges)
(['n0', 'n1'], [('label', 'n0'), ('n1', 'n0'), ('label', 'n1')])
>>> edges = {"label -> any": {}, "guru -> me": {"alpha": 0.5}}  # and kl has no alpha
>>> second = parse({"data": data, "nodes": {"me": small, "guru": large}, "edges": edges})
>>> canonical_key(first) == canonical_key(second)
True
"""

import hashlib
import itertools
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from ktg.errors import SpecError
from ktg.graph.data_spec import Data
from ktg.graph.fields import to_plain
from ktg.graph.parse import to_sections
from ktg.graph.spec import Edge, Graph, Node, SourceFile, Train
from ktg.graph.vocabulary import (
    FEATURE_LOSSES,
    IMAGENET,
    KEEPING_GATES,
    LABEL,
    MAP_LOSSES,
    LossName,
)

Matrix = Sequence[Sequence[str]]
COPY_SEED = 10_000_019  # between the seeds of two copies: more than any seeds of one search differ
# Fields of an edge that do something only where its loss is one of these. A new field that is
# missing here costs nothing but trials that are treated as different although they train the same.
_USED_BY: dict[str, tuple[LossName, ...]] = {
    "temperature": ("kl", "js", "dkd", "emd", "dist"),
    "alpha": ("dkd", "sce"),
    "beta": ("dkd", "sce"),
    "exponent": ("gce",),
    "trust": ("bootstrap",),
    "distance": ("emd",),
    "maps": MAP_LOSSES,
}
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(Edge)}
# What a node may say of its own training, under the names of `train`.
_OWN = {field.name for field in fields(Node)} & {field.name for field in fields(Train)}


def open_edges(graph: Graph) -> dict[tuple[str, str], Edge]:
    """Return the edges whose gate is not closed for good, by (source, target)."""
    return {pair: edge for pair, edge in graph.edges.items() if edge.gate != "cutoff"}


def live_nodes(graph: Graph) -> tuple[str, ...]:
    """Return the nodes that change what is scored, in the graph's order.

    These are the target and the nodes from which open edges lead to it, or which are peers of
    these; of an ensemble, all nodes that have an open edge or are a peer.
    """
    edges = {*open_edges(graph), *_list_peers(graph)}
    ends = {name for pair in edges for name in pair}
    found = ends if graph.ensemble else _find_ancestors(graph.target, edges)
    return tuple(name for name in graph.nodes if name in found)


def _list_peers(graph: Graph) -> Iterator[tuple[str, str]]:
    """Yield (peer, node) where an open edge from the label to a node asks another node."""
    for (source, target), edge in open_edges(graph).items():
        if source == LABEL and edge.asks_peer and edge.peer not in (None, target):
            yield edge.peer or target, target


def teachers(graph: Graph) -> tuple[str, ...]:
    """Return the live nodes without an open edge into them: trained beforehand, never updated.

    The target is one of them only where it is a part of an ensemble.
    """
    learners = {target for _, target in open_edges(graph)}
    if not graph.ensemble:
        learners.add(graph.target)
    return tuple(name for name in live_nodes(graph) if name not in learners)


def target_learns(graph: Graph) -> bool:
    """Return whether an open edge ends at the target, or in an ensemble begins or ends there."""
    return any(graph.target in (pair if graph.ensemble else pair[1:]) for pair in open_edges(graph))


def check_trainable(graph: Graph) -> None:
    """Raise SpecError unless the target learns, and the head of every live node that learns."""
    _check_heads(graph)
    if not target_learns(graph):
        raise SpecError(
            "edges",
            f"nothing teaches the target {graph.target!r}: every edge into it is missing or cut "
            f"off; open one, for example `label -> {graph.target}: {{gate: through}}`",
        )


def _check_heads(graph: Graph) -> None:
    """Raise SpecError for a live node that learns from features alone, so its head would not."""
    edges, alive = open_edges(graph), live_nodes(graph)
    by_features = [pair for pair, edge in edges.items() if edge.loss in FEATURE_LOSSES]
    heads = {target for (_, target), edge in edges.items() if edge.loss not in FEATURE_LOSSES}
    for source, target in by_features:
        if target in alive and target not in heads:
            raise SpecError(
                f"edges.{source}.{target}.loss",
                f"{edges[source, target].loss} compares features, and nothing else teaches "
                f"{target!r}, so its head would learn nothing; open `label -> {target}`, or an "
                f"edge to it with loss kl",
            )


def canonical_key(graph: Graph) -> str:
    """Return a SHA-256 (64 hex digits): equal exactly when the canonical forms are equal."""
    return form_key(canonicalise(graph))


def seedless_key(graph: Graph) -> str:
    """Return the key of a graph apart from its seed."""
    return canonical_key(with_seed(graph, 0))


def with_seed(graph: Graph, seed: int) -> Graph:
    """Return the graph with another seed."""
    return replace(graph, train=replace(graph.train, seed=seed))


def with_fold(graph: Graph, folds: int | None, fold: int | None) -> Graph:
    """Return the graph that is validated on one of so many folds; the graph itself without any."""
    if folds is None or fold is None:
        return graph
    return replace(graph, data=replace(graph.data, folds=folds, fold=fold))


def form_key(form: Graph) -> str:
    """Return the key of a graph that is in its canonical form already."""
    # The number stays when the format's version rises, because equal graphs train alike in each:
    # so what older versions of ktg stored is still found.
    return hashlib.sha256(_text({"version": 1, **to_sections(form)}).encode()).hexdigest()


def canonicalise(graph: Graph) -> Graph:
    """Return the graph that trains the same target with nodes n0 (the target), n1, ... and no more.

    In an ensemble all nodes are equal, so n0 may be any of them.
    """
    return canonicalise_with_names(graph)[0]


def canonicalise_with_names(graph: Graph) -> tuple[Graph, dict[str, str]]:
    """Return the canonical graph, and the name that each live node of `graph` has there."""
    alive = live_nodes(graph)
    edges = {
        pair: _simplify_edge(edge, pair)
        for pair, edge in open_edges(graph).items()
        if pair[1] in alive
    }
    learning = {target for _, target in edges}
    nodes = {name: _simplify_node(graph, graph.nodes[name], name in learning) for name in alive}
    # The label is one fixed node, so an edge from it is a part of its target's colour; the name of
    # a peer is none, but an edge from it.
    colours = [_text([to_plain(nodes[v]), _edge_text(edges.get((LABEL, v)))]) for v in alive]
    peers = {*_list_peers(graph)}
    labels = [
        [_edge_text(edges.get(pair)) + " peer" * (pair in peers) for pair in pairs]
        for pairs in [[(source, target) for target in alive] for source in alive]
    ]
    ensemble = graph.ensemble and len(alive) > 1
    order = [alive[i] for i in canonical_order(colours, labels, first_stays=not ensemble)]
    names = {name: f"n{i}" for i, name in enumerate(order)}
    for (source, target), edge in edges.items():
        if edge.peer is not None:
            edges[source, target] = replace(edge, peer=names[edge.peer])
    pairs = [(s, t) for t in order for s in (LABEL, *order) if (s, t) in edges]
    used = {graph.nodes[name].source for name in order}
    final = {node.source for node in nodes.values() if node.epochs == 0}
    published = {graph.nodes[name].model for name in order if graph.nodes[name].source == IMAGENET}
    seen = any(not edge.needs_label for edge in edges.values())  # the unlabelled images
    form = Graph(
        data=_simplify_data(graph.data, nodes.values(), seen),
        train=replace(graph.train, aggregate=_simplify_aggregate(graph, pairs)),
        nodes={names[name]: nodes[name] for name in order},
        edges={(names.get(s, LABEL), names[t]): edges[s, t] for s, t in pairs},
        sources=_select_files(graph.sources, used, final),
        weights=_select_files(graph.weights, published, published if IMAGENET in final else ()),
        ensemble=ensemble,
    )
    return form, names


def independent_graph(graph: Graph, node: str) -> Graph:
    """Return the graph that trains `node` by itself, on the same data, from the labels alone.

    A teacher gets its weights from this independent training. Equal nodes have equal graphs here,
    and therefore share one training and its cached weights. What the node says of its training
    stands in `train` and `data`, so that what it does not use of these changes nothing; it is shown
    new views in every epoch. Each `copy` has another seed.
    """
    spec, data, train = graph.nodes[node], graph.data, graph.train
    said = {name: getattr(spec, name) for name in _OWN if getattr(spec, name) is not None}
    train = replace(train, **said, steps=None if spec.epochs is not None else train.steps)
    if train.epochs:
        train = replace(train, warmup_epochs=min(train.warmup_epochs, train.epochs))
    else:  # nothing but a probe is made
        train = Train(epochs=0, precision=train.precision, seed=train.seed)
    # The probe of weights that are there draws nothing, so that all seeds and copies share it.
    draws = train.epochs or spec.source == "none" or spec.head != "probe"
    train = replace(train, seed=train.seed + COPY_SEED * spec.copy if draws else 0)
    data = replace(data, batch_size=spec.batch_size or data.batch_size, views=None)
    unsaid: dict[str, Any] = dict.fromkeys(said)
    bare = replace(spec, **unsaid, batch_size=None, copy=0)
    edges = {(LABEL, "n0"): Edge(loss="ce", gate="through")}
    alone = replace(graph, data=data, train=train, nodes={"n0": bare}, edges=edges, provenance={})
    return canonicalise(alone)


def canonical_order(
    colours: Sequence[str], labels: Matrix, *, first_stays: bool = True
) -> tuple[int, ...]:
    """Return the order of the nodes 0 .. n-1 that makes a coloured, edge-labelled digraph smallest.

    `labels[i][j]` is the label of the edge i -> j, empty where there is none. Two isomorphic graphs
    (with node 0 on node 0 where `first_stays`) look the same when each is read in its order. The
    method is that of McKay & Piperno, "Practical graph isomorphism II" (2014): colour refinement
    splits the nodes, and where some remain alike each of them is tried in turn.

    One edge between two nodes of colour b, written as 1 -> 2 and as 2 -> 1: in both orders it leads
    from the last node to the middle one.

    >>> canonical_order("abb", [["", "", ""], ["", "", "x"], ["", "", ""]])
    (0, 2, 1)
    >>> canonical_order("abb", [["", "", ""], ["", "", ""], ["", "x", ""]])
    (0, 1, 2)
    """
    # The pair puts node 0 first; a colour alone would not, as it may sort behind the others.
    ranks = _rank([(first_stays and i > 0, colour) for i, colour in enumerate(colours)])
    leaves = _list_orders(ranks, labels)
    return min(leaves, key=lambda order: [[labels[i][j] for j in order] for i in order])


def _list_orders(ranks: list[int], labels: Matrix) -> Iterator[tuple[int, ...]]:
    """Yield the orders in which refinement ends, for all choices among nodes that stay alike."""
    ranks = _refine(ranks, labels)
    order = sorted(range(len(ranks)), key=ranks.__getitem__)
    if max(ranks) == len(ranks) - 1:
        yield tuple(order)
        return
    # Some nodes are alike, and neither their names nor their places may say which comes first. So
    # each is tried as the first, and the caller takes the smallest of the orders. Two nodes whose
    # exchange leaves the graph as it is lead to the same order, so that one of them is enough:
    # n such nodes need n steps instead of n!.
    tied = next(ranks[i] for i, j in itertools.pairwise(order) if ranks[i] == ranks[j])
    tried: list[int] = []
    for i in order:
        if ranks[i] == tied and not any(_are_twins(i, j, labels) for j in tried):
            tried.append(i)
            # Of the tied nodes, node i alone gets False and so ranks before the others.
            first = [(rank, rank == tied and j != i) for j, rank in enumerate(ranks)]
            yield from _list_orders(_rank(first), labels)


def _refine(ranks: list[int], labels: Matrix) -> list[int]:
    """Split nodes of one rank by their edges to and from nodes of each rank, until nothing splits.

    What ranked before stays before, so isomorphic graphs split alike in whatever order their nodes
    are given.
    """
    everyone = range(len(ranks))
    while max(ranks) < len(ranks) - 1:
        edges = ([(labels[i][j], labels[j][i], ranks[j]) for j in everyone] for i in everyone)
        split = _rank([(rank, sorted(own)) for rank, own in zip(ranks, edges, strict=True)])
        if max(split) == max(ranks):
            break
        ranks = split
    return ranks


def _rank(values: Sequence[Any]) -> list[int]:
    """Return the place of each value among the different values: ["b", "a", "b"] -> [1, 0, 1]."""
    ordered: list[Any] = []
    for value in sorted(values):
        if not ordered or value != ordered[-1]:
            ordered.append(value)
    return [ordered.index(value) for value in values]


def _are_twins(i: int, j: int, labels: Matrix) -> bool:
    """Return whether exchanging two nodes of one rank leaves every edge as it is."""
    others = [k for k in range(len(labels)) if k not in (i, j)]
    return labels[i][j] == labels[j][i] and all(
        labels[i][k] == labels[j][k] and labels[k][i] == labels[k][j] for k in others
    )


def _find_ancestors(target: str, edges: Collection[tuple[str, str]]) -> set[str]:
    """Return the target and all nodes from which edges lead to it."""
    found, waiting = {target}, [target]
    while waiting:
        node = waiting.pop()
        sources = {source for source, end in edges if end == node and source != LABEL} - found
        found |= sources
        waiting += sources
    return found


def _simplify_edge(edge: Edge, pair: tuple[str, str]) -> Edge:
    """Return the edge with every field that does nothing there at its default."""
    for field, losses in _USED_BY.items():
        if edge.loss not in losses:
            edge = replace(edge, **{field: _DEFAULTS[field]})
    if pair[0] == LABEL:  # the label is always right
        edge = replace(edge, gate="through" if edge.gate == "correct" else edge.gate)
    if not edge.asks_peer or edge.peer == pair[1]:
        edge = replace(edge, peer=None)
    if edge.gate != "small_loss":
        edge = replace(edge, noise=_DEFAULTS["noise"])
    return edge if edge.gate in KEEPING_GATES else replace(edge, over="batch")


def _simplify_data(data: Data, nodes: Collection[Node], unlabelled: bool) -> Data:
    """Return the data without what does nothing there; `unlabelled`: such images reach an edge."""
    if not unlabelled or data.unlabelled is None:
        data = replace(data, unlabelled=None, unlabelled_share=Data.unlabelled_share)
    seen = {node.augment or data.augment for node in nodes}
    return replace(data, views=None) if seen == {"none"} else data


def _simplify_node(graph: Graph, node: Node, learns: bool) -> Node:
    """Return the node with every field that does nothing there at its default."""
    length = graph.train.epochs
    if learns:
        node = replace(node, epochs=None, batch_size=None, copy=0)
    else:  # what `train` and `data` say, too, need not be said
        length = length if node.epochs is None else node.epochs
        # Its own epochs are passes over the images; those of `train` are parts of `steps`, if any.
        if node.epochs == graph.train.epochs and graph.train.steps is None:
            node = replace(node, epochs=None)
        own = None if node.batch_size == graph.data.batch_size else node.batch_size
        node = replace(node, batch_size=own)
    if node.frozen_epochs >= length:  # the backbone never learns
        node = replace(node, unfreeze_from=None, unfreeze_every=None)
        node = replace(node, backbone_lr_scale=1.0, layer_decay=1.0)
    if node.frozen_epochs >= length or node.source == "none":
        node = replace(node, frozen_norm=False)
    default = "basic" if graph.data.augment == "cutmix_or_mixup" else graph.data.augment
    if node.augment == default:
        node = replace(node, augment=None)
    if (node.augment or default) == "none" or not (node.frozen_epochs or node.unfreeze_from):
        node = replace(node, frozen_views=None)
    # From stage 0 on is everything, which is the default.
    return replace(node, unfreeze_from=node.unfreeze_from or None)


def _select_files(
    files: Mapping[str, SourceFile], names: Collection[str], final: Collection[str]
) -> dict[str, SourceFile]:
    """Return the files of these names in a fixed order, without remarks that training ignores.

    It does not ignore what the heads of `final` files tell apart: they teach as they are.
    """
    return {
        name: replace(
            file, origin=None, accuracy=None, labels=file.labels if name in final else None
        )
        for name, file in sorted(files.items())
        if name in names
    }


def _simplify_aggregate(graph: Graph, pairs: Sequence[tuple[str, str]]) -> Any:
    """Return `aggregate` where a node has two teachers, else sum: of one teacher it is the mean."""
    ends = [target for source, target in pairs if source != LABEL]
    return graph.train.aggregate if len(set(ends)) < len(ends) else "sum"


def _edge_text(edge: Edge | None) -> str:
    return "" if edge is None else _text(to_plain(replace(edge, peer=None)))


def _text(plain: Any) -> str:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))
