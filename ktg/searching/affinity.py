"""Resolves affinity holes before the first trial: which sources of a node are worth searching.

Where a node's model is a hole too, its sources are ranked for each model by itself. A source that
is chosen for some model becomes an option; with the other models the space refuses it. The default
becomes the favourite, with which the baselines begin.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ktg.affinity.candidate import Candidate
from ktg.affinity.plots import draw_ranking
from ktg.affinity.ranking import BASELINES, Measured, measure_candidate, rank_candidates
from ktg.data import Dataset
from ktg.errors import KtgError
from ktg.graph import Affinity, Choice, SearchSpace
from ktg.graph.affinity_holes import find_affinity_holes, list_candidates
from ktg.graph.holes import ScoreName
from ktg.tracking import Tracker

ARTIFACT = "affinity.json"
MEASURED_BASELINES: tuple[ScoreName, ...] = ("knn", "linear_probe")


@dataclass(frozen=True)
class RankedSources:
    """The sources of a node with one model: the measured, best first; the others, and why."""

    model: str
    score: ScoreName
    found: Mapping[str, Measured]
    not_measured: Mapping[str, str]

    def choose(self, hole: Affinity) -> list[str]:
        """Return the sources to search: the best, and all that could not be measured."""
        return list(self.found)[: None if hole.prior else hole.keep] + list(self.not_measured)

    def to_json(self, hole: Affinity) -> dict[str, Any]:
        """Return the ranking as plain data."""
        kept = self.choose(hole)
        return {
            "candidates": [*self.found, *self.not_measured],
            "scores": {source: one.value(self.score) for source, one in self.found.items()},
            "kept": kept,
            "favourite": kept[0],
            "not_measured": dict(self.not_measured),
        }


@dataclass(frozen=True)
class ResolvedSpace:
    """A space whose affinity holes are choices, and by node the holes and what was measured.

    Only a hole that is a prior is still an affinity hole, with its sources in order.
    """

    space: SearchSpace
    holes: Mapping[str, Affinity] = field(default_factory=dict)
    ranked: Mapping[str, Sequence[RankedSources]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what was measured as plain data: by node, for its first model and for each."""
        scores = list(dict.fromkeys(hole.score for hole in self.holes.values()))
        nodes = {}
        for name, hole in self.holes.items():
            models = {one.model: one.to_json(hole) for one in self.ranked[name]}
            kept, keep = _unite(hole, self.ranked[name]), None if hole.prior else hole.keep
            settings = {"score": hole.score, "keep": keep, "prior": hole.prior}
            nodes[name] = settings | next(iter(models.values())) | {"kept": kept, "models": models}
        return {"score": scores[0] if len(scores) == 1 else None, "nodes": nodes}

    def draw_charts(self) -> dict[str, bytes]:
        """Return a bar chart as SVG for each node: the score, and the baselines beside it."""
        drawn = {}
        for name, hole in self.holes.items():
            bars = {
                f"{one.model}@{_shorten(source)}": measured
                for one in self.ranked[name]
                for source, measured in one.found.items()
            }
            columns = dict.fromkeys((hole.score, *BASELINES))
            panels = {column: [one.value(column) for one in bars.values()] for column in columns}
            if bars:
                drawn[name] = draw_ranking(
                    f"Sources for {name}, by {hole.score}", list(bars), panels
                )
        return drawn

    def make_table(self) -> Table:
        """Return what was measured as a table."""
        shown = Table(
            title="Affinity: which sources suit the training images",
            title_justify="left",
            box=SIMPLE_HEAD,
        )
        shown.add_column("node")
        shown.add_column("candidate", overflow="fold")  # its end says which source
        shown.add_column("by")
        for column in ("score", "knn", "linear\nprobe"):
            shown.add_column(column, justify="right")
        shown.add_column()
        for name, hole in self.holes.items():
            for one in self.ranked[name]:
                kept = one.choose(hole)
                for source, found in one.found.items():
                    values = [found.value(column) for column in (hole.score, "knn", "linear_probe")]
                    state = "kept" if source in kept else "left out"
                    state = "favourite" if source == kept[0] else state
                    cells = ["n/a" if value is None else f"{value:.4g}" for value in values]
                    shown.add_row(
                        name, f"{one.model}@{_shorten(source)}", hole.score, *cells, state
                    )
                for source in one.not_measured:
                    shown.add_row(
                        name, f"{one.model}@{_shorten(source)}", hole.score, "n/a", "", "", "kept"
                    )
        return shown

    def not_measured(self) -> dict[str, str]:
        """Return by candidate why it could not be measured."""
        return {
            f"{name}: {one.model}@{_shorten(source)}": reason
            for name, all_models in self.ranked.items()
            for one in all_models
            for source, reason in one.not_measured.items()
        }

    def record(self, tracker: Tracker, run: str) -> None:
        """Log what was measured to the search's own run: as JSON, and as a chart for each node."""
        if self.holes:
            tracker.artifact(run, ARTIFACT, json.dumps(self.to_json(), indent=1))
        for name, chart in self.draw_charts().items():
            tracker.artifact(run, f"affinity/{name}.svg", chart)


def resolve_affinity(
    space: SearchSpace,
    data: Dataset,
    on_candidate: Callable[[str], None],
    device: torch.device | None = None,
) -> ResolvedSpace:
    """Return the space with the sources that suit the data, and what was measured for it.

    data: the images; only those of the training split are looked at.
    on_candidate: called with what is measured next.
    A source that cannot be measured stays an option. What was measured before comes from the cache.
    """
    holes = find_affinity_holes(space)
    ranked: dict[str, list[RankedSources]] = {}
    for name, pairs in list_candidates(space).items():
        models = dict.fromkeys(model for model, _ in pairs)
        rank = partial(_rank, space, name, holes[name], data, on_candidate, device)
        ranked[name] = [rank(model, [s for m, s in pairs if m == model]) for model in models]
    for name, hole in holes.items():
        space = _narrow(space, name, hole, ranked[name])
    return ResolvedSpace(space, holes, ranked)


def _rank(
    space: SearchSpace,
    name: str,
    hole: Affinity,
    data: Dataset,
    on_candidate: Callable[[str], None],
    device: torch.device | None,
    model: str,
    sources: Sequence[str],
) -> RankedSources:
    found: dict[str, Measured] = {}
    not_measured: dict[str, str] = {}
    model_hole = {f"nodes.{name}.model": model} if f"nodes.{name}.model" in space.holes else {}
    for source in sources:
        graph = space.fill(space.default() | model_hole | {f"nodes.{name}.source": source})
        on_candidate(f"{name}: {model}@{_shorten(source)}")
        try:
            one = measure_candidate(
                Candidate(f"nodes.{name}", graph.nodes[name]),
                data,
                list(dict.fromkeys((hole.score, *MEASURED_BASELINES))),
                sources=graph.sources_for(model),
                device=device,
            )
        except KtgError as error:
            not_measured[source] = str(error)
        except Exception as error:  # a source that cannot be measured must not end the search
            not_measured[source] = f"{type(error).__name__}: {error}"
        else:
            if one.value(hole.score) is None:
                not_measured[source] = f"{hole.score} {one.not_applicable[hole.score]}"
            else:
                found[source] = one
    best_first = {source: found[source] for source in rank_candidates(found, hole.score)}
    return RankedSources(model, hole.score, best_first, not_measured)


def _unite(hole: Affinity, ranked: Sequence[RankedSources]) -> list[str]:
    """Return the sources chosen for some model, those of the first model, the default, first."""
    return list(dict.fromkeys(source for one in ranked for source in one.choose(hole)))


def _narrow(
    space: SearchSpace, name: str, hole: Affinity, ranked: Sequence[RankedSources]
) -> SearchSpace:
    """Return the space with the chosen sources as the options of a node's source."""
    chosen = tuple(_unite(hole, ranked))
    options: Choice = dataclasses.replace(hole, options=chosen) if hole.prior else Choice(chosen)
    left_out = _left_out(name, chosen, {one.model: one.choose(hole) for one in ranked})
    return space.with_holes({f"nodes.{name}.source": options}, left_out)


def read_left_out(plain: Mapping[str, Any]) -> frozenset[tuple[str, str, str]]:
    """Return (node, model, source) for all that a search left out, from its `affinity.json`."""
    nodes = plain["nodes"].items()
    kept = {
        name: {model: one["kept"] for model, one in node["models"].items()} for name, node in nodes
    }
    return frozenset(
        use for name, node in nodes for use in _left_out(name, node["kept"], kept[name])
    )


def _left_out(
    name: str, options: Sequence[str], kept: Mapping[str, Sequence[str]]
) -> list[tuple[str, str, str]]:
    """Return the uses of options that were chosen for another model only."""
    return [
        (name, model, source)
        for model, own in kept.items()
        for source in options
        if source not in own
    ]


def _shorten(source: str) -> str:
    """Return a source as tables show it: zoo/flowers/resnet8 as it is, of a/b.pth b.pth."""
    return source if source.startswith("zoo/") else source.rpartition("/")[2]
