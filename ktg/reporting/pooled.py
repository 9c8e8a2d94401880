"""Describes the greedy ensemble of a search: its members, what it is worth, and what it costs."""

from typing import Any

from ktg.graph import Graph
from ktg.graph.canonical import live_nodes
from ktg.reporting.networks import measure_network
from ktg.searching.pool import describe_unkept, find_ensemble
from ktg.searching.stored_search import StoredSearch

_USUAL_SIDE = 32
_COSTS = ("parameters", "megabytes", "milliseconds")


def describe_pool(search: StoredSearch) -> dict[str, Any] | None:
    """Return the ensemble with the cost of each member and of all together.

    The cost is that of the networks that are used in the end, each asked once. Where probabilities
    were too many to be kept there is only `why`, a sentence. None for fewer than two trainings, and
    for a search of a version that kept none.
    """
    pooled = search.pooled
    found = find_ensemble(pooled, search.metric)
    if found is None:
        unkept = describe_unkept(pooled)
        return None if unkept is None else {"why": unkept}
    graphs = {one.trial: one.graph for one in pooled}
    probabilities = pooled[0].said.probabilities
    classes = 0 if probabilities is None else probabilities.shape[1]
    members = [
        {**vars(one), "models": _list_models(graph), **_sum_costs(graph, classes)}
        for one in found.members
        for graph in [graphs[one.trial]]
    ]
    return {**found.to_json(), "members": members, **_add(members)}


def _list_models(graph: Graph) -> list[str]:
    return [graph.nodes[name].model for name in _deployed(graph)]


def _sum_costs(graph: Graph, classes: int) -> dict[str, Any]:
    side = graph.data.size or _USUAL_SIDE
    return _add([measure_network(graph.nodes[name], classes, side) for name in _deployed(graph)])


def _deployed(graph: Graph) -> tuple[str, ...]:
    return tuple(live_nodes(graph)) if graph.ensemble else (graph.target,)


def _add(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sums of the costs; None where one is not known."""
    return {
        what: None if any(row[what] is None for row in rows) else sum(row[what] for row in rows)
        for what in _COSTS
    }
