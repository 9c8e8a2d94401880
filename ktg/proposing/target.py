"""Chooses the target: the network that is deployed, its weights, and how it sees the images.

How large they are counts more than which network sees them, and what a side costs depends on the
network. So each of the small ones whose weights suit the images is asked what it is worth at the
sides for which it has time, and the smallest is taken of those that are not clearly worse.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ktg.data import Dataset
from ktg.graph import Data, Node
from ktg.proposing.found_groups import FoundGroups, find_groups
from ktg.proposing.found_images import FoundImages
from ktg.proposing.hearing import Hearing
from ktg.proposing.machine import Machine
from ktg.proposing.networks import SMALL, choose_sources, choose_targets
from ktg.proposing.ranking import (
    Ranking,
    limit_side,
    rank_weights,
    ranking_seconds,
    standard_error,
)
from ktg.proposing.resolution import (
    choose_sides,
    list_sides,
    order_sides,
    training_seconds,
    usual_epochs,
)
from ktg.proposing.speed import Speed, measure_speed
from ktg.proposing.squares import Squares, choose_squares
from ktg.proposing.weights_here import WeightsHere, knows_photographs
from ktg.proposing.wishes import Wishes

FROM_NOTHING = "resnet20"
GAUGE_SIDE = 96
# What a few epochs add to a probe: 0.7 to 3.7 points on cats and dogs, flowers and aerial pictures,
# two networks, at 128 and 160 pixels, but for one that lost 2.9 (benchmarks/sides.py).
TRAINED = 0.02


@dataclass(frozen=True)
class Ground:
    """What there is before anything is trained: see `Plan`; here: the weights, to be ranked."""

    wishes: Wishes
    images: FoundImages
    machine: Machine
    here: list[WeightsHere]
    unusable: Mapping[str, str]
    batch: int


@dataclass(frozen=True)
class Candidate:
    """A network that may be the target: its weights and sides, see `Plan`."""

    model: str
    sources: tuple[WeightsHere, ...]
    sides: tuple[int, ...]
    probes: Mapping[int, float]

    @property
    def node(self) -> Node:
        """The network with its best weights, without a side."""
        known = replace(self.sources[0], side=None) if self.sources else None
        return known.node if known else Node(model=self.model)

    @property
    def worth(self) -> float:
        """What to expect of it: its probe at the default side and a training, or a larger probe.

        >>> Candidate("resnet18", (), (96, 160), {96: 0.80, 160: 0.85}).worth
        0.85
        >>> Candidate("resnet18", (), (128,), {128: 0.84}).worth
        0.86
        """
        trained = self.probes.get(self.sides[0], 0.0) + TRAINED
        return max([trained, *self.probes.values()])


@dataclass(frozen=True)
class Target:
    """The network to train and how it sees images: see `Plan`.

    data: as it sees them at most; dataset: these, decoded.
    """

    model: str
    sources: tuple[WeightsHere, ...]
    ranking: Ranking
    squares: Squares
    sides: tuple[int, ...]
    probes: Mapping[int, float]
    step: Speed
    groups: FoundGroups | None
    data: Data
    dataset: Dataset


@dataclass(frozen=True)
class _Shown:
    """Decoded images with their side in pixels, and what is known: scores of probes of them.

    sides: at which the network `gauge` has time to see images.
    """

    dataset: Dataset
    side: int
    known: Mapping[WeightsHere, float]
    gauge: Node
    sides: tuple[int, ...]


def choose_target(ground: Ground, hearing: Hearing) -> Target:
    """Return the network, by a ranking of the weights on a sample, and how it sees images best."""
    wishes, images = ground.wishes, ground.images
    hearing.status("Measuring a few steps")
    gauge = _choose_gauge(wishes, ground.here)
    sides = _choose_sides(gauge, ground)
    most = max(sides)
    data = replace(images.spec, size=most, batch_size=ground.batch)
    dataset = hearing.open_data(data)
    groups = find_groups(images, data, hearing)
    files, seconds = wishes.files, ranking_seconds(wishes.budget_s)
    # A side that the user says is that of all networks.
    here = ground.here if wishes.size else [limit_side(one, most) for one in ground.here]
    ranking = rank_weights(here, files, dataset, seconds=seconds, status=hearing.status)
    models = _shortlist(wishes, ranking)
    best = next(iter(choose_sources(ranking, models[0])), None)
    first = (best, ranking.scores[best]) if best else None
    squares, squared = choose_squares(images, data, dataset, first, files, hearing)
    if squared is not dataset:  # the scores above are of the centres, which nobody will see
        ranking = rank_weights(here, files, squared, seconds=seconds, status=hearing.status)
        models = _shortlist(wishes, ranking)
    shown = _Shown(squared, most, ranking.scores, gauge, sides)
    data = replace(data, resize=squares.resize)
    looked = [_look_at(model, ranking, ground, shown, hearing.status) for model in models]
    chosen = choose_candidate(looked, ranking.images)
    node = chosen.node
    if chosen.sides[0] != most:
        node = replace(node, input_size=chosen.sides[0])
    return Target(
        model=chosen.model,
        sources=chosen.sources,
        ranking=ranking,
        squares=squares,
        sides=chosen.sides,
        probes=chosen.probes,
        step=measure_speed(node, data, sources=files),
        groups=groups,
        data=data,
        dataset=squared,
    )


def choose_candidate(candidates: Sequence[Candidate], images: int) -> Candidate:
    """Return the smallest candidate that is worth no less than the best but for a standard error.

    images: of which the probes are. A smaller network trains for longer in the same time.
    """
    best = max(one.worth for one in candidates)
    least = best - standard_error(min(best, 1.0), images)
    fitting = [one for one in candidates if one.worth >= least]
    return min(fitting, key=lambda one: one.sources[0].parameters if one.sources else 0)


def _shortlist(wishes: Wishes, ranking: Ranking) -> list[str]:
    """Return the networks that may be the target: what the user says, or the best of a ranking."""
    if wishes.target is not None:
        return [wishes.target]
    if not ranking.scores:
        return [FROM_NOTHING]
    return [one.model for one in choose_targets(ranking)]


def _look_at(
    model: str,
    ranking: Ranking,
    ground: Ground,
    shown: _Shown,
    status: Callable[[str], None],
) -> Candidate:
    """Return a network with the sides at which it may see images."""
    sources = tuple(choose_sources(ranking, model))
    found = Candidate(model, sources, (shown.side,), {})
    same = found.node == shown.gauge
    allowed = shown.sides if same else _choose_sides(found.node, ground)
    sides = tuple(side for side in allowed if side <= shown.side) or (shown.side,)
    probes = _probe_sides(next(iter(sources), None), sides, ground.wishes, shown, status)
    return replace(found, sides=order_sides(sides, probes, ranking.error), probes=probes)


def _choose_gauge(wishes: Wishes, here: list[WeightsHere]) -> Node:
    """Return the network whose speed decides how large images are decoded.

    It is the target, or the slowest of those that may be it.
    """
    if wishes.target is not None:
        target = Node(model=wishes.target)
        return next((one.node for one in here if one.model == wishes.target), target)
    small = [one for one in here if one.parameters <= SMALL]
    return small[-1].node if small else next((one.node for one in here), Node(model=FROM_NOTHING))


def _choose_sides(node: Node, ground: Ground) -> tuple[int, ...]:
    """Return the sides of images in pixels: what the user says, else what the budget allows."""
    from ktg.models.architectures import find_usual_size, takes_any_size

    wishes, images = ground.wishes, ground.images
    if wishes.size is not None:
        return (wishes.size,)
    sides = list_sides(images.side, find_usual_size(node.model))
    measured = min(sides, key=lambda side: abs(side - GAUGE_SIDE))
    data = Data(path="noise", size=measured, batch_size=ground.batch)
    speed = measure_speed(node, data, sources=wishes.files)
    speeds = {side: speed.at_side(side, measured) for side in sides}
    chosen = choose_sides(
        speeds,
        images.train,
        sum(images.counts["val"]),
        usual_epochs(images.per_class),
        training_seconds(wishes.budget_s, ground.machine.slots),
        photographs=knows_photographs(node, wishes.files),
    )
    return chosen if takes_any_size(node) else chosen[:1]


def _probe_sides(
    best: WeightsHere | None,
    sides: Sequence[int],
    wishes: Wishes,
    shown: _Shown,
    status: Callable[[str], None],
) -> dict[int, float]:
    """Return by side the score of a probe of the target's best weights, where there are any."""
    if best is None:
        return {}
    scores = {best.side or shown.side: shown.known[best]} if best in shown.known else {}
    seen = [replace(best, side=side) for side in sides if side not in scores]
    if seen:
        seconds = ranking_seconds(wishes.budget_s)
        found = rank_weights(seen, wishes.files, shown.dataset, seconds=seconds, status=status)
        scores |= {one.side: score for one, score in found.scores.items() if one.side}
    return {side: scores[side] for side in sides if side in scores}
