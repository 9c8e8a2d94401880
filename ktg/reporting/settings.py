"""Lists every setting of a graph that is not at its default, and how two graphs differ."""

from typing import Any

from ktg.graph import Graph, edge_key
from ktg.graph.canonical import live_nodes, open_edges
from ktg.graph.fields import to_plain
from ktg.reporting.side_by_side import find_differences, flatten
from ktg.searching.stored_search import StoredSearch


def list_settings(graph: Graph) -> dict[str, Any]:
    """Return what differs from the defaults, of `data`, `train`, each live node and open edge."""
    live = live_nodes(graph)
    edges = {pair: edge for pair, edge in open_edges(graph).items() if pair[1] in live}
    return {
        "data": to_plain(graph.data),
        "train": to_plain(graph.train),
        "nodes": {name: to_plain(graph.nodes[name]) for name in live},
        "edges": {
            edge_key(*pair): {"gate": edge.gate} | to_plain(edge) for pair, edge in edges.items()
        },
    }


def compare_with_alone(search: StoredSearch) -> list[dict[str, Any]] | None:
    """Return where the best graph's settings are not those of the baseline alone.

    Each row has the `place` and `values` of the two, None where one has it not or at its default.
    Returns None where alone was not trained to its end, or is the best itself.
    """
    alone = search.alone
    if alone is None or alone is search.best:
        return None
    graphs = [search.best.graph, alone.graph]
    return find_differences([flatten(list_settings(graph)) for graph in graphs])
