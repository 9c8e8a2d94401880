"""Draws searches of few validation images whose truth is known, for `choice.py`."""

import functools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_normal, norm

from ktg.intervals import paired_mean_interval
from ktg.proposing.kinds import Kind, Lead
from ktg.searching.expectation import Seen, expect_scores

CANDIDATES = 4  # beside the control and the baselines
TRIED: Mapping[Kind, int] = {  # graphs of a search, the baseline of a kind included
    "probe": 1,
    "alone": 6,
    "taught": 4,
    "taught, unlabelled": 4,
    "mutual": 1,
}
RIVALS = ("probe", "alone", "mutual")  # kinds with a baseline
OPENING: tuple[Kind, ...] = ("taught, unlabelled", "taught", "alone")
USUAL = 0.65  # at which the correlations were measured
Leads = Mapping[Kind, Lead]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A graph of a replayed search: its kind, its true accuracy, and whether it is a baseline."""

    kind: Kind
    true: float
    is_rival: bool


class Images:
    """Validation images: what of each is hard for all, and for each kind."""

    def __init__(self, number: int, draw: np.random.Generator) -> None:
        self.number = number
        self.draw = draw
        self.shared = draw.normal(size=number)
        self.parts: dict[Kind, np.ndarray] = {}

    def of(self, kind: Kind) -> np.ndarray:
        """Return what of each image is hard for all graphs of a kind (images,)."""
        if kind not in self.parts:
            self.parts[kind] = self.draw.normal(size=self.number)
        return self.parts[kind]


class World:
    """A data set whose graphs are truly worth what is given, and which shows some images of it."""

    def __init__(self, noise: Mapping[str, float], draw: np.random.Generator) -> None:
        self.draw = draw
        self.seed_std = noise["seed_std"]
        self.between, self.within = (
            find_latent(noise[what]) for what in ("between_kinds", "within_kind")
        )

    def list_graphs(self, levels: Mapping[Kind, float], settings: float) -> list[Drawn]:
        """Return what a search has tried of each kind: as it is by default, and otherwise set."""
        return [
            Drawn(
                kind,
                min(0.99, level + (self.draw.normal(0, settings) if place else 0.0)),
                is_rival=place == 0 and kind in RIVALS,
            )
            for kind, level in levels.items()
            for place in range(TRIED[kind])
        ]

    def train(self, graph: Drawn, images: Images) -> float:
        """Return the accuracy of another training of a graph on some images."""
        fresh = graph.kind != "probe"
        true = graph.true + (self.draw.normal(0, self.seed_std) if fresh else 0.0)
        right = (
            math.sqrt(self.between) * images.shared
            + math.sqrt(self.within - self.between) * images.of(graph.kind)
            + math.sqrt(1 - self.within) * self.draw.normal(size=images.number)
        )
        return float((right < norm.ppf(min(0.999, max(0.001, true)))).mean())


@functools.cache
def find_latent(correlation: float) -> float:
    """Return the correlation of two normal numbers that are below a threshold so often together.

    correlation: of being below it, which each is with probability USUAL.
    """
    at = norm.ppf(USUAL)

    def differ(latent: float) -> float:
        both = multivariate_normal.cdf([at, at], cov=[[1, latent], [latent, 1]])
        return float((both - USUAL**2) / (USUAL * (1 - USUAL)) - correlation)

    return float(brentq(differ, 0.0, 0.999))


def play(
    world: World,
    graphs: Sequence[Drawn],
    images: int,
    way: Mapping[str, Any],
    leads: Leads,
    settings: float,
) -> dict[str, dict[str, Any]]:
    """Return what each rule chooses after one search: its true accuracy, and what was promised.

    way: `rounds`, new seeds of each graph in the race; `folds`: whether each has other images, of
    which a fold has half as many as the split (a fifth of the labelled ones, which the split has
    two fifths of).
    """
    shown = Images(images, world.draw)
    single = {graph: world.train(graph, shown) for graph in graphs}
    fold = max(2, images // 2)
    rounds = [Images(fold, world.draw) if way["folds"] else shown for _ in range(way["rounds"])]
    seen = fold * len(rounds) if way["folds"] else images
    promise = expect(single, {}, images, leads, settings)
    found: dict[str, dict[str, Any]] = {}
    for rule, order in (("best mean", single), ("posterior", promise), ("opening", single)):
        raced = {
            graph: tuple(world.train(graph, each) for each in rounds)
            for graph in enter(graphs, order)
        }
        if not way["folds"]:  # what another seed does not change is not trained again
            raced = {graph: () if graph.kind == "probe" else own for graph, own in raced.items()}
        means = {graph: statistics.fmean(own or (single[graph],)) for graph, own in raced.items()}
        said = expect(means, raced, seen, leads, settings) if rule == "posterior" else means
        if rule == "opening":
            chosen = prefer_first(raced, means)
        else:
            chosen = max(said, key=lambda graph: said[graph])
        found[rule] = {"true": chosen.true, "seen": said[chosen], "kind": chosen.kind}
    best = max(graphs, key=lambda graph: graph.true)
    return found | {"best": {"true": best.true, "seen": best.true, "kind": best.kind}}


def enter(graphs: Sequence[Drawn], order: Mapping[Drawn, float]) -> list[Drawn]:
    """Return who takes part in the race: baselines, the best alone, the best few, the opening."""
    rivals = [graph for graph in graphs if graph.is_rival]
    others = sorted((graph for graph in graphs if not graph.is_rival), key=lambda one: -order[one])
    control = next(graph for graph in others if graph.kind == "alone")
    candidates = [graph for graph in others if graph is not control][:CANDIDATES]
    first = find_first(graphs)
    entered = [*rivals, control, *candidates]
    return entered if first in entered else [*entered, first]


def find_first(graphs: Sequence[Drawn]) -> Drawn:
    """Return the first arrangement of the opening that a search has tried."""
    kinds = {graph.kind for graph in graphs}
    first = next(kind for kind in OPENING if kind in kinds)
    return next(graph for graph in graphs if graph.kind == first)


def prefer_first(raced: Mapping[Drawn, tuple[float, ...]], means: Mapping[Drawn, float]) -> Drawn:
    """Return the first arrangement, or the best of those that new seeds prove better."""
    first = find_first(list(raced))
    better = []
    for graph, own in raced.items():
        base = raced[first]
        values = own or (means[graph],) * len(base)
        pairs = [a - b for a, b in zip(values, base, strict=True)]
        if graph is not first and paired_mean_interval(pairs, len(raced) - 1)[0] > 0:
            better.append(graph)
    return max(better, key=lambda graph: means[graph], default=first)


def expect(
    scores: Mapping[Drawn, float],
    raced: Mapping[Drawn, tuple[float, ...]],
    images: int,
    leads: Leads,
    settings: float,
) -> dict[Drawn, float]:
    """Return the score to expect of each graph, by the product's own rule."""
    several = [own for own in raced.values() if len(own) > 1]
    freedom = sum(len(own) - 1 for own in several)
    squares = sum(statistics.variance(own) * (len(own) - 1) for own in several)
    spread = math.sqrt(squares / freedom) if freedom else None
    seen = [
        Seen(graph.kind, score, len(raced.get(graph, ())) or _count(graph), images)
        for graph, score in scores.items()
    ]
    return dict(zip(scores, expect_scores(seen, spread, freedom, leads, settings), strict=True))


def _count(graph: Drawn) -> float:
    return math.inf if graph.kind == "probe" else 1
