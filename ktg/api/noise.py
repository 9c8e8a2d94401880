"""Puts the estimated share of wrong labels into graphs and spaces that say `noise: auto`.

It is done once, before anything is trained, checked or recorded, so that all that is kept of a
training has the number, and trains again with it elsewhere.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ktg.api.listener import QUIET, Listener
from ktg.errors import SpecError
from ktg.graph import Graph, SearchSpace, edge_path
from ktg.graph.canonical import open_edges
from ktg.graph.parse import split_edge
from ktg.graph.vocabulary import AUTO

if TYPE_CHECKING:
    from ktg.auditing.noise import NoiseEstimate

NOISE = "noise"


def settle_noise(graph: Graph, listener: Listener = QUIET) -> Graph:
    """Return the graph with a number for each `noise: auto` of an open edge.

    Raises SpecError where no network is at hand that could judge the labels, and WeightsError where
    the weights of such a network cannot be loaded now.
    """
    asking = [
        pair
        for pair, edge in open_edges(graph).items()
        if edge.gate == "small_loss" and edge.noise == AUTO
    ]
    if not asking:
        return graph
    noise = estimate(graph, f"{edge_path(*asking[0])}.{NOISE}", listener).noise
    edges = {
        pair: replace(edge, noise=noise) if edge.noise == AUTO else edge
        for pair, edge in graph.edges.items()
    }
    return replace(graph, edges=edges)


def settle_space_noise(space: SearchSpace, listener: Listener = QUIET) -> SearchSpace:
    """Return the space with a number for each `noise: auto` in it.

    Also among the options of holes, and in what `search.opening` tries first. Raises what
    `settle_noise` does.
    """
    edges = space.template["edges"]
    if _put(edges, 0.0) == edges:
        return space
    where = next(
        edge_path(*split_edge(key)) for key in edges if _put(edges[key], 0.0) != edges[key]
    )
    noise = estimate(space.bind(space.default()), f"{where}.{NOISE}", listener).noise
    holes = {
        path: replace(hole, options=tuple(_put_at(path, hole.options, noise)))
        for path, hole in space.choices().items()
    }
    opening = tuple(
        {path: _put_at(path, value, noise) for path, value in values.items()}
        for values in space.search.opening
    )
    return replace(
        space,
        template={**space.template, "edges": _put(edges, noise)},
        holes={**space.holes, **holes},
        search=replace(space.search, opening=opening),
    )


def estimate(graph: Graph, where: str, listener: Listener = QUIET) -> "NoiseEstimate":
    """Return the share of wrong labels among the training images of a graph.

    The networks of the graph that begin with weights look at them, and where there are none those
    on this machine. where: the dotted place that asks, for messages.
    """
    from ktg.auditing.noise import estimate_set_noise
    from ktg.data.open import open_data
    from ktg.models.network import choose_device
    from ktg.proposing.weights_here import list_viewers

    dataset, nodes = open_data(graph.data, progress=listener.decoding), [*graph.nodes.values()]
    if all(node.source == "none" for node in nodes):
        nodes = list_viewers(graph.weights, dataset.train.shape[0])
    found = estimate_set_noise(
        nodes,
        dataset,
        files=graph.weights,
        sources=graph.sources,
        device=choose_device(None),
        status=listener.status,
    )
    if found is None:
        problem = "auto needs a network that knows photographs, and none with weights is at hand"
        raise SpecError(where, f"{problem}; give the share of wrong labels as a number")
    listener.say(
        f"noise: auto is {found.noise:g}: about so many of the training labels are wrong, in the "
        f"eyes of {found.seen_by} on {found.images:,} of them; hard classes count, too"
    )
    return found


def _put_at(path: str, value: Any, noise: float) -> Any:
    """Return what stands at a dotted path, with a number in place of `auto`."""
    return _put(value, noise, path.rpartition(".")[2])


def _put(value: Any, noise: float, key: str = "") -> Any:
    """Return plain data with a number in place of `auto` wherever the key is `noise`."""
    if isinstance(value, Mapping):
        is_choice = key == NOISE  # `noise: {choice: [auto, 0.1]}`
        return {own: _put(each, noise, NOISE if is_choice else own) for own, each in value.items()}
    if isinstance(value, list | tuple):
        put = [_put(each, noise, key) for each in value]
        return [*dict.fromkeys(put)] if key == NOISE else put
    return noise if key == NOISE and value == AUTO else value
