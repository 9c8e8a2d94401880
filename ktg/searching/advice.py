"""Says which graph to ship: the simplest one that is not proven worse than the best.

Each graph is held against the one with the highest accuracy, with intervals that hold all at once
for the number of other graphs. Then the graph that is truly best is kept with 95 %, although the
highest accuracy was chosen by looking (Hsu, "Constrained simultaneous confidence intervals for
multiple comparisons with the best", Annals of Statistics, 1984).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ktg.errors import KtgError
from ktg.graph import Graph
from ktg.graph.canonical import live_nodes
from ktg.intervals import Interval, proportion_difference_interval
from ktg.models.architectures import build_on_meta

# What the head and the images add is the same for all graphs, so any number orders them alike.
_CLASSES, _SIDE = 10, 32


@dataclass(frozen=True, order=True)
class Effort:
    """What a graph asks for; the simpler of two graphs is the smaller.

    delivered: parameters of what is used in the end, the target or a whole ensemble. trained: those
    that are trained, in all networks. networks: how many run in training. train_s: seconds.
    """

    delivered: int
    trained: int
    networks: int
    train_s: float


@dataclass(frozen=True)
class Candidate:
    """A graph that may be shipped; `accuracy` in [0, 1] is what the graphs are held against by."""

    what: str
    trial: str
    accuracy: float
    effort: Effort


@dataclass(frozen=True)
class Advice:
    """The graph to ship, and why in one sentence; `basis` is the split that it rests on."""

    what: str
    trial: str
    basis: str
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """Return the advice as plain data."""
        return dict(vars(self))


Compare = Callable[[Candidate, Candidate], Interval | None]


def measure_effort(graph: Graph, train_s: float) -> Effort:
    """Return what a graph asks for. A network that cannot be built here counts as none."""
    live = live_nodes(graph) or (graph.target,)
    counts = {name: _count(graph, name) for name in live}
    delivered = sum(counts[name][0] for name in (live if graph.ensemble else (graph.target,)))
    return Effort(delivered, sum(trained for _, trained in counts.values()), len(live), train_s)


def advise(candidates: Sequence[Candidate], compare: Compare, basis: str) -> Advice | None:
    """Return which of the candidates to ship; None where there are fewer than two.

    compare: returns the interval of the first one's accuracy minus the second one's, None where
    nothing is known. Such a candidate is never advised: nothing speaks for it.
    """
    if len(candidates) < 2:
        return None
    best = max(candidates, key=lambda one: one.accuracy)
    intervals = {one.what: compare(best, one) for one in candidates if one is not best}
    near = [one for one in candidates if (found := intervals.get(one.what)) and found[0] <= 0]
    chosen = min([best, *near], key=lambda one: (one.effort, -one.accuracy))
    sentence = (
        _praise(best, candidates)
        if chosen is best
        else _excuse(chosen, best, intervals[chosen.what])
    )
    return Advice(chosen.what, chosen.trial, basis, sentence)


def advise_by_validation(candidates: Sequence[Candidate], images: int | None) -> Advice | None:
    """Return which of the graphs of a search to ship, by one training each.

    images: how many validation images they were all measured on. The intervals are of unpaired
    proportions: they know nothing of seeds, nor that the best was chosen by these images.
    """
    if not images:
        return None
    others = max(1, len(candidates) - 1)

    def compare(best: Candidate, other: Candidate) -> Interval:
        return proportion_difference_interval(best.accuracy, other.accuracy, images, others)

    return advise(candidates, compare, "validation")


def _praise(best: Candidate, candidates: Sequence[Candidate]) -> str:
    simpler = any(one.effort < best.effort for one in candidates)
    why = "every simpler one is proven worse" if simpler else "no other graph is simpler"
    return f"Ship {_name(best)}: it has the most right, and {why}."


def _excuse(chosen: Candidate, best: Candidate, interval: Interval | None) -> str:
    low, high = interval or (-1.0, 1.0)
    points = 100 * (best.accuracy - chosen.accuracy)
    return (
        f"Ship {_name(chosen)}: it is the simplest graph that is not proven worse than the one "
        f"with the most right, {best.what} ({points:+.2f} points, 95 % {100 * low:+.2f} to "
        f"{100 * high:+.2f})."
    )


def _name(one: Candidate) -> str:
    return f"{one.what} ({one.trial})" if one.trial else one.what


def _count(graph: Graph, name: str) -> tuple[int, int]:
    """Return how many parameters a node's network has, and how many of them are trained."""
    node = graph.nodes[name]
    try:
        plan = build_on_meta(node, classes=_CLASSES, image_size=graph.data.size or _SIDE)
    except KtgError:  # its constructor's arguments are with weights that are not here
        return 0, 0
    sizes = {key: value.numel() for key, value in plan.body.named_parameters()}
    whole = sum(sizes.values())
    if node.frozen_epochs < graph.train.epochs:
        return whole, whole
    return whole, sum(size for key, size in sizes.items() if key in plan.head)
