"""Says which graph to ship: the simplest one that is not proven worse than the best.

Each graph is held against the one with the highest accuracy, with intervals that hold all at once
for the number of other graphs. Then the graph that is truly best is kept with 95 %, although the
highest accuracy was chosen by looking (Hsu, "Constrained simultaneous confidence intervals for
multiple comparisons with the best", Annals of Statistics, 1984).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ktg.errors import KtgError
from ktg.graph import Graph
from ktg.graph.canonical import live_nodes
from ktg.graph.space import MetricName
from ktg.intervals import Interval, proportion_difference_interval
from ktg.models.architectures import build_on_meta
from ktg.searching.contestants import Contestant, compare
from ktg.searching.score import cut_difference, cut_score, format_difference
from ktg.searching.trial import FinishedTrial

BEST = "best graph"
MOST_BEHIND = 0.01  # of accuracy: less than what may be given up for a simpler graph
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
    """A graph that may be shipped; `accuracy` is what graphs are compared by, or another score."""

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


def advise(
    candidates: Sequence[Candidate],
    compare: Compare,
    basis: str,
    best: Candidate | None = None,
    metric: MetricName = "accuracy",
) -> Advice | None:
    """Return which of the candidates to ship; None where there are fewer than two.

    compare: returns the interval of the first one's score minus the second one's, None where
    nothing is known. Such a candidate is never advised: nothing speaks for it.
    best: whom the others are held against; default: the one with the highest score.
    """
    if len(candidates) < 2:
        return None
    best = best or max(candidates, key=lambda one: one.accuracy)
    intervals = {one.what: compare(best, one) for one in candidates if one is not best}
    near = [one for one in candidates if (found := intervals.get(one.what)) and found[0] <= 0]
    chosen = min([best, *near], key=lambda one: (one.effort, -one.accuracy))
    simpler = [intervals[one.what] for one in candidates if one.effort < chosen.effort]
    sentence = (
        _praise(best, simpler)
        if chosen is best
        else _excuse(chosen, best, intervals[chosen.what], simpler, metric)
    )
    return Advice(chosen.what, chosen.trial, basis, sentence)


def list_candidates(
    named: Iterable[tuple[str, FinishedTrial]],
    contestants: Iterable[Contestant],
    metric: MetricName,
) -> list[tuple[Candidate, Contestant]]:
    """Return the named trials of a search as `advise_by_validation` takes them.

    One that has two names, as a best that is a baseline, counts once, by its last name.
    contestants: those of the search, these trials among them.
    """
    by_number = {one.number: one for one in contestants}
    found = []
    for what, trial in {trial.number: (what, trial) for what, trial in named}.values():
        one, effort = by_number[trial.number], measure_effort(trial.graph, trial.train_s)
        name, score = trial.name.partition(" ")[0], cut_score(metric, one.mean)
        found.append((Candidate(what, name, score, effort), one))
    return found


def advise_by_validation(
    candidates: Sequence[tuple[Candidate, Contestant]], images: int | None, metric: MetricName
) -> Advice | None:
    """Return which of the graphs of a search to ship, of which the first is its best.

    Two graphs that the race trained with the same new seeds are compared by these. Others are by
    one training each, and by accuracy alone, where it is known on how many `images`: the interval
    is that of two unpaired proportions. Neither knows that the best was chosen by these images. On
    few images hardly anything is proven, so that a graph of which less is expected, by more than
    MOST_BEHIND, is not advised either; nor is one of which a training failed.
    """
    raced = {one.what: contestant for one, contestant in candidates}
    others = max(1, len(candidates) - 1)

    def compare_two(best: Candidate, other: Candidate) -> Interval | None:
        if raced[best.what].failed or raced[other.what].failed:
            return None
        own, behind = raced[best.what].expected, raced[other.what].expected
        if own is not None and behind is not None and own - behind > MOST_BEHIND:
            return None
        by_seed = cut_difference(metric, compare(raced[best.what], raced[other.what], others))
        if by_seed is not None or metric != "accuracy" or not images:
            return by_seed
        return proportion_difference_interval(best.accuracy, other.accuracy, images, others)

    plain = [one for one, _ in candidates]
    known = bool(plain) and raced[plain[0].what].expected is not None
    if not known and all(compare_two(plain[0], one) is None for one in plain[1:]):
        return None
    return advise(plain, compare_two, "validation", plain[0], metric)


def _praise(best: Candidate, simpler: Sequence[Interval | None]) -> str:
    """Return why to ship the best. simpler: the intervals of the graphs that are simpler."""
    why = "every simpler one is proven worse" if simpler else "no other graph is simpler"
    if None in simpler:
        why = "no simpler one is known to be as good"
    return f"Ship {_name(best)}: it is the best, and {why}."


def _excuse(
    chosen: Candidate,
    best: Candidate,
    interval: Interval | None,
    simpler: Sequence[Interval | None],
    metric: MetricName,
) -> str:
    """Return why to ship another graph than the best. simpler: as of `_praise`."""
    low, high = (format_difference(metric, end) for end in interval or (-1.0, 1.0))
    behind = format_difference(metric, best.accuracy - chosen.accuracy)
    unit = "nats" if metric == "loss" else "points"
    than = f"the {best.what}" if best.what == BEST else f"the best, {best.what}"
    compared = "of those that could be compared " if None in simpler else ""
    known = f"{compared}that is not proven worse than"
    return (
        f"Ship {_name(chosen)}: it is the simplest graph {known} {than} "
        f"({behind} {unit}, 95 % {low} to {high})."
    )


def _name(one: Candidate) -> str:
    return f"{one.what} ({one.trial})" if one.trial else one.what


def _count(graph: Graph, name: str) -> tuple[int, int]:
    """Return how many parameters a node's network has, and how many of them are trained."""
    node = graph.nodes[name]
    try:
        side = graph.data.size or _SIDE
        plan = build_on_meta(node, classes=_CLASSES, image_size=side, checked=False)
    except KtgError:  # its constructor's arguments are with weights that are not here
        return 0, 0
    sizes = {key: value.numel() for key, value in plan.body.named_parameters()}
    whole = sum(sizes.values())
    if node.frozen_epochs < graph.train.epochs:
        return whole, whole
    return whole, sum(size for key, size in sizes.items() if key in plan.head)
