"""Builds the baselines of a search: the graphs that a user would have tried by hand.

Every search trains them first and reports them beside its best. Most use the space's defaults for
models, sources and schedules, and differ in their edges alone; `probe` and `head, then fine-tuning`
are what pretrained weights are worth by themselves, whatever rates the space has.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from ktg.errors import SpecError
from ktg.graph import LABEL, Edge, Graph, SearchSpace, dump, edge_path, parse
from ktg.graph.canonical import canonical_key

ALONE = "alone"
DISTILLATION = "distillation"
MUTUAL_LEARNING = "mutual learning"
INDEPENDENT = "independent"
PROBE = "probe"
FINE_TUNED = "head, then fine-tuning"
CLEANED = "probe with cleaned labels"
TRUSTED = "alone without the suspicious"
ENSEMBLE = "distilled ensemble"
COPIES = 3  # of the teacher, in that baseline
# Its four trainings would be missed elsewhere where fewer are planned, or of less time.
FEWEST_TRIALS = 48
MOST_OF_BUDGET = 1 / 8
# What stays of a space's default where a recipe says the rest: the network, and for how long.
_NETWORK = ("model", "source", "input_size", "augment", "model_args")
_LENGTH = ("epochs", "steps", "precision", "compile", "seed")

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
    """Return the edges of deep mutual learning (Zhang et al., CVPR 2018): all teach each other.

    All that learn, that is: a node of `epochs: 0` is there to teach as it is.
    """
    names = _list_learning(graph)
    return {(LABEL, name): _label_edge(graph, name) for name in names} | {
        (s, t): _node_edge(graph, s, t) for t in names for s in names if s != t
    }


def _list_learning(graph: Graph) -> list[str]:
    return [name for name, node in graph.nodes.items() if name == graph.target or node.epochs != 0]


BASELINES: Mapping[str, Callable[[Graph], Edges]] = {
    ALONE: alone,
    DISTILLATION: distillation,
    MUTUAL_LEARNING: mutual_learning,
    INDEPENDENT: independent,
}


def baselines(space: SearchSpace) -> dict[str, Graph]:
    """Return the baselines of a space, by name, the cheapest first.

    A single node has `alone` only; more nodes have `distillation` and `mutual learning` too, and an
    ensemble has `independent` beside them. Where another node may judge the labels by the gate
    `small_loss`, there is `alone without the suspicious`. Where the target can have pretrained
    weights, two more come first: `probe` (logistic regression on its frozen features, so without
    epochs), and `head, then fine-tuning` (that recipe of `ktg.graph.recipes`) unless `alone` is
    just that; and with such a judge `probe with cleaned labels`. Spaces of version 1 lack these.
    The last is `distilled ensemble`, unless the space plans too few trials for it.
    """
    graph = space.bind(space.default())
    names = [name for name in BASELINES if name == ALONE or len(graph.nodes) > 1]
    names = [name for name in names if name != INDEPENDENT or graph.ensemble]
    if not graph.ensemble and len(_list_learning(graph)) < 2:
        names = [name for name in names if name != MUTUAL_LEARNING]
    cut = {pair: dataclasses.replace(edge, gate="cutoff") for pair, edge in graph.edges.items()}
    found = {name: dataclasses.replace(graph, edges=cut | BASELINES[name](graph)) for name in names}
    trusted = _trusted(space, graph)
    found |= {TRUSTED: trusted} if trusted else {}
    found |= {ENSEMBLE: distilled_ensemble(graph)} if plans_ensemble(space) else {}
    pretrained = _find_pretrained(space) if space.version > 1 else None
    if pretrained is None:
        return found
    tuned = _fine_tuned(pretrained, space.version)
    is_alone = canonical_key(tuned) == canonical_key(found[ALONE])
    cleaned = _probe_cleaned(trusted, pretrained, space.version) if trusted else {}
    first = probes(space, pretrained) | cleaned
    return first | ({} if is_alone else {FINE_TUNED: tuned}) | found


def can_distil_ensemble(space: SearchSpace) -> bool:
    """Return whether a space has a network whose copies could teach the target together.

    Copies of one that is not trained would be alike, and an ensemble is no target for its like.
    """
    graph = space.bind(space.default())
    nodes = list(graph.nodes.values())
    return space.version > 1 and len(nodes) > 1 and not graph.ensemble and nodes[1].epochs != 0


def plans_ensemble(space: SearchSpace) -> bool:
    """Return whether `distilled ensemble` is a baseline; within a budget only if it then fits."""
    planned = space.search.most_trials
    return can_distil_ensemble(space) and (planned is None or planned >= FEWEST_TRIALS)


def distilled_ensemble(graph: Graph) -> Graph:
    """Return the graph that distils an ensemble into the target, beside the label.

    Its members are copies of the teacher of `distillation`, each trained with a seed of its own.
    The mean of the losses by which they teach has the gradient of one teacher with the mean of
    their probabilities (Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network",
    2015). What makes networks that teach each other better than one that learns from their
    ensemble, this baseline asks.
    """
    target, teacher = list(graph.nodes)[:2]
    edge = _node_edge(graph, teacher, target)
    names = [teacher, *(f"{teacher}_copy{copy}" for copy in range(1, COPIES))]
    nodes = {
        name: dataclasses.replace(graph.nodes[teacher], copy=copy)
        for copy, name in enumerate(names)
    }
    return dataclasses.replace(
        graph,
        train=dataclasses.replace(graph.train, aggregate="mean"),
        nodes={target: graph.nodes[target], **nodes},
        edges=alone(graph) | {(name, target): edge for name in names},
    )


def probes(space: SearchSpace, graph: Graph) -> dict[str, Graph]:
    """Return the probe of a one-node graph by name: `probe`, and `probe, 160 px` of other sizes."""
    node = graph.nodes[graph.target]
    hole = space.holes.get(f"nodes.{graph.target}.input_size")
    sides = dict.fromkeys([node.input_size, *(hole.options_to_check() if hole else ())])
    return {
        PROBE if side == node.input_size else f"{PROBE}, {side or graph.data.size} px": _probe(
            dataclasses.replace(
                graph, nodes={graph.target: dataclasses.replace(node, input_size=side)}
            ),
            space.version,
        )
        for side in sides
    }


def _trusted(space: SearchSpace, graph: Graph) -> Graph | None:
    """Return the target alone with the labels that another node does not suspect of being wrong.

    None for a space whose target has no gate `small_loss` in the eyes of another node.
    """
    pair = (LABEL, graph.target)
    edge, path = graph.edges.get(pair), f"{edge_path(*pair)}.gate"
    if edge is None or edge.peer in (None, graph.target):
        return None
    offered = space.holes[path].options_to_check() if path in space.holes else [edge.gate]
    if "small_loss" not in offered:
        return None
    nodes = {name: graph.nodes[name] for name in (graph.target, edge.peer)}
    judged = {pair: dataclasses.replace(edge, gate="small_loss")}
    return dataclasses.replace(graph, nodes=nodes, edges=judged, ensemble=False)


def _probe_cleaned(trusted: Graph, pretrained: Graph, version: int) -> dict[str, Graph]:
    """Return the probe of the labels that the judge of `trusted` predicts, too, by its name."""
    probe = _probe(pretrained, version)
    nodes = {**trusted.nodes, **probe.nodes}
    return {CLEANED: dataclasses.replace(trusted, train=probe.train, nodes=nodes)}


def _find_pretrained(space: SearchSpace) -> Graph | None:
    """Return the target by itself with the first of its sources that has weights, None without."""
    default = space.default()
    target = space.bind(default).target
    path = f"nodes.{target}.source"
    options = space.holes[path].options_to_check() if path in space.holes else [None]
    for option in options:
        values = default if option is None else default | {path: option}
        try:
            graph = space.bind(values)
        except SpecError:
            continue
        if graph.nodes[target].source != "none":
            nodes = {target: graph.nodes[target]}
            return dataclasses.replace(
                graph, nodes=nodes, edges={(LABEL, target): Edge(loss="ce")}, ensemble=False
            )
    return None


def _probe(graph: Graph, version: int) -> Graph:
    """Return the graph of a network as it begins, with logistic regression as its head."""
    plain = _as_it_is(graph, version)
    plain["train"]["epochs"] = 0
    plain["nodes"][graph.target] |= {"head": "probe"}
    return parse(plain)


def _fine_tuned(graph: Graph, version: int) -> Graph:
    """Return the graph whose target trains by the recipe, for as long as the space says."""
    return parse(_as_it_is(graph, version))


def _as_it_is(graph: Graph, version: int) -> dict[str, Any]:
    """Return a one-node graph as plain data, with nothing said of how its network trains.

    So parsing fills in the recipe of its source, that of a version of the format.
    """
    plain = dump(graph) | {"version": version}
    train = {key: value for key, value in plain["train"].items() if key in _LENGTH}
    node = {key: value for key, value in plain["nodes"][graph.target].items() if key in _NETWORK}
    return plain | {"train": train, "nodes": {graph.target: node}}


def _label_edge(graph: Graph, target: str) -> Edge:
    return _through(graph.edges.get((LABEL, target), Edge(loss="ce")))


def _node_edge(graph: Graph, source: str, target: str) -> Edge:
    return _through(graph.edges.get((source, target), Edge(loss="kl")))


def _through(edge: Edge) -> Edge:
    return dataclasses.replace(edge, gate="through", peer=None)
