"""Affinity holes, resolved before the first trial: which sources of a node are worth searching.

A node whose model is a hole too has its sources ranked for each model by itself. What is kept for
some model is an option; with the other models the space refuses it. The default becomes the
favourite, with which the baselines begin.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ktg.affinity.candidate import Candidate
from ktg.affinity.plots import ranking
from ktg.affinity.ranking import BASELINES, Measured, measure_candidate, rank_candidates
from ktg.data import Dataset
from ktg.errors import KtgError
from ktg.graph import Affinity, Choice, SearchSpace
from ktg.graph.affinity_holes import find_affinity_holes, list_candidates
from ktg.graph.holes import ScoreName
from ktg.tracking import Tracker

ARTIFACT = "affinity.json"
Tell = Callable[[str], None]
MEASURED_BASELINES: tuple[ScoreName, ...] = ("knn", "linear_probe")


@dataclass(frozen=True)
class Ranked:
    """The sources of a node with one model, the best first; then those that could not be measured, and why."""

    model: str
    score: ScoreName
    found: Mapping[str, Measured]
    not_measured: Mapping[str, str]

    def kept(self, hole: Affinity) -> list[str]:
        """Return the sources that stay: the best, and all of which nothing is known."""
        return list(self.found)[: None if hole.prior else hole.keep] + list(self.not_measured)

    def to_json(self, hole: Affinity) -> dict[str, Any]:
        """Return the ranking as plain data."""
        kept = self.kept(hole)
        return {
            "candidates": [*self.found, *self.not_measured],
            "scores": {source: one.value(self.score) for source, one in self.found.items()},
            "kept": kept,
            "favourite": kept[0],
            "not_measured": dict(self.not_measured),
        }


@dataclass(frozen=True)
class Resolved:
    """A space without affinity holes but those that are a prior, and by the name of its node what was measured."""

    space: SearchSpace
    holes: Mapping[str, Affinity] = field(default_factory=dict)
    ranked: Mapping[str, Sequence[Ranked]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what was measured as plain data: for each node that of its first model, and below it of each."""
        scores = list(dict.fromkeys(hole.score for hole in self.holes.values()))
        nodes = {}
        for name, hole in self.holes.items():
            models = {one.model: one.to_json(hole) for one in self.ranked[name]}
            kept = union(hole, self.ranked[name])
            settings = {
                "score": hole.score,
                "keep": None if hole.prior else hole.keep,
                "prior": hole.prior,
            }
            nodes[name] = settings | next(iter(models.values())) | {"kept": kept, "models": models}
        return {"score": scores[0] if len(scores) == 1 else None, "nodes": nodes}

    def charts(self) -> dict[str, bytes]:
        """Return a bar chart as SVG for each node: the score, and the baselines beside it."""
        drawn = {}
        for name, hole in self.holes.items():
            bars = {
                f"{one.model}@{_short(s)}": m
                for one in self.ranked[name]
                for s, m in one.found.items()
            }
            columns = dict.fromkeys((hole.score, *BASELINES))
            panels = {column: [one.value(column) for one in bars.values()] for column in columns}
            if bars:
                drawn[name] = ranking(f"Sources for {name}, by {hole.score}", list(bars), panels)
        return drawn

    def table(self) -> Table:
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
                kept = one.kept(hole)
                for source, found in one.found.items():
                    values = [found.value(column) for column in (hole.score, "knn", "linear_probe")]
                    state = (
                        "favourite"
                        if source == kept[0]
                        else "kept"
                        if source in kept
                        else "left out"
                    )
                    cells = ["n/a" if value is None else f"{value:.4g}" for value in values]
                    shown.add_row(name, f"{one.model}@{_short(source)}", hole.score, *cells, state)
                for source in one.not_measured:
                    shown.add_row(
                        name, f"{one.model}@{_short(source)}", hole.score, "n/a", "", "", "kept"
                    )
        return shown

    def not_measured(self) -> dict[str, str]:
        """Return by candidate why it could not be measured."""
        return {
            f"{name}: {one.model}@{_short(source)}": reason
            for name, all_models in self.ranked.items()
            for one in all_models
            for source, reason in one.not_measured.items()
        }

    def record(self, tracker: Tracker, run: str) -> None:
        """Log what was measured to the search's own run: as JSON, and as a chart for each node."""
        if self.holes:
            tracker.artifact(run, ARTIFACT, json.dumps(self.to_json(), indent=1))
        for name, chart in self.charts().items():
            tracker.artifact(run, f"affinity/{name}.svg", chart)


def resolve(
    space: SearchSpace, data: Dataset, tell: Tell, device: torch.device | None = None
) -> Resolved:
    """Return the space with the sources that suit the data, and what was measured for it.

    data: the images; only those of the training split are looked at.
    tell: is told what is measured next.
    A source that cannot be measured is kept. What was measured before comes from the cache.
    """
    holes = find_affinity_holes(space)
    ranked: dict[str, list[Ranked]] = {}
    for name, pairs in list_candidates(space).items():
        models = dict.fromkeys(model for model, _ in pairs)
        ranked[name] = [
            _ranked(
                space,
                name,
                model,
                [s for m, s in pairs if m == model],
                holes[name],
                data,
                tell,
                device,
            )
            for model in models
        ]
    for name, hole in holes.items():
        space = _narrowed(space, name, hole, ranked[name])
    return Resolved(space, holes, ranked)


def _ranked(
    space: SearchSpace,
    name: str,
    model: str,
    sources: Sequence[str],
    hole: Affinity,
    data: Dataset,
    tell: Tell,
    device: torch.device | None,
) -> Ranked:
    found: dict[str, Measured] = {}
    not_measured: dict[str, str] = {}
    model_hole = {f"nodes.{name}.model": model} if f"nodes.{name}.model" in space.holes else {}
    for source in sources:
        graph = space.fill(space.default() | model_hole | {f"nodes.{name}.source": source})
        tell(f"{name}: {model}@{_short(source)}")
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
        except (
            Exception
        ) as error:  # whatever it is, what could not be measured must not end the search
            not_measured[source] = f"{type(error).__name__}: {error}"
        else:
            if one.value(hole.score) is None:
                not_measured[source] = f"{hole.score} {one.not_applicable[hole.score]}"
            else:
                found[source] = one
    best_first = {source: found[source] for source in rank_candidates(found, hole.score)}
    return Ranked(model, hole.score, best_first, not_measured)


def union(hole: Affinity, ranked: Sequence[Ranked]) -> list[str]:
    """Return the sources that stay for some model: those of the first model, the default, come first."""
    return list(dict.fromkeys(source for one in ranked for source in one.kept(hole)))


def _narrowed(
    space: SearchSpace, name: str, hole: Affinity, ranked: Sequence[Ranked]
) -> SearchSpace:
    """Return the space with what stays as the options of a node's source."""
    kept = tuple(union(hole, ranked))
    options: Choice = dataclasses.replace(hole, options=kept) if hole.prior else Choice(kept)
    left_out = _left_out(name, kept, {one.model: one.kept(hole) for one in ranked})
    return space.with_holes({f"nodes.{name}.source": options}, left_out)


def refused(plain: Mapping[str, Any]) -> frozenset[tuple[str, str, str]]:
    """Return (node, model, source) of what a search left out, from the JSON of what it measured."""
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
    return [
        (name, model, source)
        for model, own in kept.items()
        for source in options
        if source not in own
    ]


def _short(source: str) -> str:
    """Return the name of a source; of a file its last name."""
    return source if source.startswith("zoo/") else source.rpartition("/")[2]
