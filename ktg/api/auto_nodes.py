"""Puts names in place of `model: auto` and `source: auto` of helper nodes: weights of this machine.

It is done once, before anything is trained, checked or recorded, so that all that is kept of a
training has the names, and trains again with them elsewhere.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ktg.api.listener import QUIET, Listener
from ktg.graph import Graph, Node, SearchSpace
from ktg.graph.recipes import with_weights
from ktg.graph.vocabulary import AUTO

if TYPE_CHECKING:
    from ktg.proposing.helpers import Chosen


def settle_nodes(graph: Graph, listener: Listener = QUIET) -> Graph:
    """Return the graph with a model and a source for each helper node that says `auto`.

    The features of training images are computed with the weights on this machine. Raises SpecError
    where none fit.
    """
    asking = list_asking(graph)
    if not asking:
        return graph
    nodes = {**graph.nodes}
    for name, one in _choose(graph, asking, listener).items():
        nodes[name] = with_weights(nodes[name], one.weights.model, one.weights.source)
    return replace(graph, nodes=nodes)


def settle_space_nodes(
    space: SearchSpace, listener: Listener = QUIET, *, past: SearchSpace | None = None
) -> SearchSpace:
    """Return the space with a model and a source for each helper node that says `auto`.

    past: the space of the search that goes on, whose choice stands. Raises SpecError as
    `settle_nodes` does.
    """
    graph = space.bind(space.default())
    asking = list_asking(graph)
    if not asking:
        return space
    known = past.template["nodes"] if past else {}
    if all(_agrees(node, known.get(name)) for name, node in asking.items()):
        named = {name: {key: known[name][key] for key in ("model", "source")} for name in asking}
    else:
        named = {
            name: {"model": one.weights.model, "source": one.weights.source}
            for name, one in _choose(graph, asking, listener).items()
        }
    nodes = {
        name: {**node, **named.get(name, {})} for name, node in space.template["nodes"].items()
    }
    return replace(space, template={**space.template, "nodes": nodes})


def list_asking(graph: Graph) -> dict[str, Node]:
    """Return the nodes that say `auto`, by name."""
    return {name: node for name, node in graph.nodes.items() if AUTO in (node.model, node.source)}


def _agrees(node: Node, known: Mapping[str, Any] | None) -> bool:
    """Return whether what was chosen before, as plain data, is what a node may become."""
    return known is not None and all(
        isinstance(known.get(key), str) and said in (AUTO, known[key])
        for key, said in (("model", node.model), ("source", node.source))
    )


def _choose(graph: Graph, asking: Mapping[str, Node], listener: Listener) -> "dict[str, Chosen]":
    """Return what each node becomes, and tell why."""
    from ktg.data.open import open_data
    from ktg.proposing.helpers import choose_helpers

    dataset = open_data(graph.data, progress=listener.decoding)
    chosen = choose_helpers(graph, asking, dataset, listener.status)
    for name, one in chosen.items():
        listener.say(f"nodes.{name}: auto is {one.weights.name}: {one.why}")
    return chosen
