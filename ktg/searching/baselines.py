"""Builds the baselines of a search: the graphs that a user would have tried by hand.

Every search trains them first and reports them beside its best. They use the space's defaults for
models, sources and schedules, and differ in their edges alone.
"""

import dataclasses
from collections.abc import Callable, Mapping

from ktg.graph import LABEL, Edge, Graph, SearchSpace

Edges = dict[tuple[str, str], Edge]


def alone(graph: Graph) -> Edges:
    """Return the edges of independent training: the label teaches the target alone."""
    return {(LABEL, graph.target): _label_edge(graph, graph.target)}


def distillation(graph: Graph) -> Edges:
    """Return the edges of distillation (Hinton et al., 2015): the label and a teacher."""
    teacher = list(graph.nodes)[1]
    return alone(graph) | {(teacher, graph.target): _node_edge(graph, teacher, graph.target)}


def independent(graph: Graph) -> Edges:
    """Return the edges of a plain ensemble: the label teaches every node, and no node another."""
    return {(LABEL, node): _label_edge(graph, node) for node in graph.nodes}


def mutual_learning(graph: Graph) -> Edges:
    """Return the edges of deep mutual learning (Zhang et al., CVPR 2018): all teach each other."""
    return independent(graph) | {
        (s, t): _node_edge(graph, s, t) for t in graph.nodes for s in graph.nodes if s != t
    }


BASELINES: Mapping[str, Callable[[Graph], Edges]] = {
    "alone": alone,
    "distillation": distillation,
    "mutual learning": mutual_learning,
    "independent": independent,
}


def baselines(space: SearchSpace) -> dict[str, Graph]:
    """Return the baselines of a space, by name.

    A single node has `alone` only; more nodes have `distillation` and `mutual learning` too, and an
    ensemble has `independent` beside them.
    """
    graph = space.bind(space.default())
    names = [name for name in BASELINES if name == "alone" or len(graph.nodes) > 1]
    names = [name for name in names if name != "independent" or graph.ensemble]
    cut = {pair: dataclasses.replace(edge, gate="cutoff") for pair, edge in graph.edges.items()}
    return {name: dataclasses.replace(graph, edges=cut | BASELINES[name](graph)) for name in names}


def _label_edge(graph: Graph, target: str) -> Edge:
    return _through(graph.edges.get((LABEL, target), Edge(loss="ce")))


def _node_edge(graph: Graph, source: str, target: str) -> Edge:
    return _through(graph.edges.get((source, target), Edge(loss="kl")))


def _through(edge: Edge) -> Edge:
    return dataclasses.replace(edge, gate="through")
