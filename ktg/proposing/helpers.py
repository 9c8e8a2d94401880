"""Chooses weights of this machine for helper nodes that say `auto`, as `ktg init` does a teacher.

The candidates are ranked once, by linear probes on training images, beside the target's own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ktg.data import Dataset
from ktg.errors import SpecError, join_names
from ktg.graph import Graph, Node
from ktg.graph.vocabulary import AUTO
from ktg.proposing.machine import read_machine
from ktg.proposing.networks import choose_teacher
from ktg.proposing.ranking import MOST_S, Ranking, rank_weights
from ktg.proposing.weights_here import WeightsHere, find_weights_here, limit_parameters
from ktg.wording import count

MOST_TOLD = 3  # weights that cannot be used, in one sentence


@dataclass(frozen=True)
class Chosen:
    """The weights that a node gets, and why, in words."""

    weights: WeightsHere
    why: str


def choose_helpers(
    graph: Graph,
    asking: Mapping[str, Node],
    dataset: Dataset,
    status: Callable[[str], None],
    seconds: float = MOST_S,
) -> dict[str, Chosen]:
    """Return for each node that says `auto` the best weights on this machine that fit what it says.

    Of two such nodes the second gets what the first has left, as far as there is more. The best are
    those that `ktg init` would let teach; where none is clearly above the target, those whose probe
    is best. status: told what is measured. seconds: after which no further weights are measured
    but those of the target, and the first for each node. Raises SpecError at a node for which no
    weights are here, or none that can be used.
    """
    here, faults = find_weights_here(graph.weights, dataset.train.shape[0])
    most = limit_parameters(read_machine())
    fitting = {name: _list_fitting(node, here, most) for name, node in asking.items()}
    for one in here:
        if one.parameters > most:
            faults[one.name] = f"{one.parameters / 1e6:.0f} M parameters are too many here"
    for name, node in asking.items():
        if not fitting[name]:
            raise _nothing_here(name, node, _list_faults(node, faults))
    target = graph.nodes[graph.target]
    own = [
        replace(one, side=target.input_size)
        for one in here
        if (one.model, one.source) == (target.model, target.source)
    ]
    every = [*own, *(one for several in fitting.values() for one in several)]
    ranking = rank_weights(
        list(dict.fromkeys(every)),
        graph.weights,
        dataset,
        seconds=seconds,
        status=status,
        one_of=[own, *fitting.values()],
    )
    sources = [one for one in own if one in ranking.scores]
    chosen: dict[str, Chosen] = {}
    for name, node in asking.items():
        measured = [one for one in ranking.scores if one in fitting[name]]
        if not measured:
            why = {one.name: ranking.left_out[one.name] for one in fitting[name]}
            raise _nothing_here(name, node, why)
        taken = {(one.weights.model, one.weights.source) for one in chosen.values()}
        left = [one for one in measured if (one.model, one.source) not in taken] or measured
        limited = _limit(ranking, [*left, *sources])
        lenient = graph.data.unlabelled is not None
        better = choose_teacher(limited, sources, leniently=lenient)
        best = better if better in left else left[0]
        chosen[name] = Chosen(best, _explain(best, ranking, sources, better=better is not None))
    return chosen


def _list_fitting(node: Node, here: Sequence[WeightsHere], most: int) -> list[WeightsHere]:
    """Return the weights that a node may get, at the side at which it sees images."""
    return [
        replace(one, side=node.input_size)
        for one in here
        if (one.parameters <= most if node.model == AUTO else one.model == node.model)
        and node.source in (AUTO, one.source)
    ]


def _list_faults(node: Node, faults: Mapping[str, str]) -> dict[str, str]:
    """Return why weights cannot be used that fit what a node says, by their names."""
    found = {}
    for name, why in faults.items():
        model, _, source = name.partition("@")
        if node.model in (AUTO, model) and node.source in (AUTO, source):
            found[name] = why
    return found


def _limit(ranking: Ranking, kept: Sequence[WeightsHere]) -> Ranking:
    return replace(
        ranking, scores={one: score for one, score in ranking.scores.items() if one in kept}
    )


def _explain(
    one: WeightsHere, ranking: Ranking, sources: Sequence[WeightsHere], *, better: bool
) -> str:
    said = f"a linear probe has {100 * ranking.scores[one]:.1f} % on {ranking.images} images"
    if sources:
        said += f", the target's {100 * ranking.scores[sources[0]]:.1f} %"
        if better and ranking.scores[one] < ranking.scores[sources[0]]:
            said += "; it is larger, and not proven to be worse"
    compared = f"of {count(len(ranking.scores), 'set')} of weights on this machine"
    return f"{said}; {compared}" + ("" if better else ", none clearly better than the target's")


def _nothing_here(name: str, node: Node, faults: Mapping[str, str]) -> SpecError:
    """Return the error for a node without weights. faults: why the weights here are of no use."""
    field = "source" if node.source == AUTO else "model"
    wanted = " ".join(
        f"{word} {said}"
        for word, said in (("for", node.model), ("from", node.source))
        if said != AUTO
    )
    wanted += " " * bool(wanted)
    problem = f"auto: no weights {wanted}that fit are on this machine"
    if faults:
        told = [f"{one}: {why}" for one, why in faults.items()]
        problem = f"auto: none of the weights {wanted}on this machine can be used "
        problem += f"({join_names(told, MOST_TOLD)})"
    remedy = "name a model and a source, or give a file in `weights` (`ktg zoo list` shows a zoo)"
    return SpecError(f"nodes.{name}.{field}", f"{problem}; {remedy}")
