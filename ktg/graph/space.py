"""Defines search spaces: graphs with holes, which `bind` fills, and the settings of a search."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ktg.errors import MissingSourceError, SpecError, did_you_mean, show
from ktg.graph.canonical import canonical_key
from ktg.graph.holes import Choice, Hole, Int
from ktg.graph.parse import parse, split_edge
from ktg.graph.spec import Graph, rule

SamplerName = Literal["random", "tpe", "gp", "grid"]
SchedulerName = Literal["asha", "hyperband", "none"]


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a search space is searched."""

    trials: int = rule("Different graphs to train, the baselines not counted.", 100, at_least=1)
    sampler: SamplerName = rule(
        "How the next graph is chosen: at random, by Optuna's TPE or Gaussian process, or each of "
        "a small space once.",
        "tpe",
    )
    scheduler: SchedulerName = rule(
        "asha stops poor trials early; hyperband does, but gives a part of the trials more time "
        "before it.",
        "asha",
    )
    grace_epochs: int = rule("Epochs every trial gets before ASHA may stop it.", 1, at_least=1)
    reduction_factor: float = rule("ASHA keeps one in this many at every rung.", 2, above=1)
    gpus_per_trial: float | None = rule(
        "Share of a GPU for one trial; default: 1 where there is a GPU.", None, at_least=0
    )
    cpus_per_trial: float = rule("CPU cores for one trial, and its number of threads.", 1, above=0)
    concurrent: int | None = rule(
        "Most trials at once; default: what the resources carry.", None, at_least=1
    )
    baselines: bool = rule(
        "Train alone, distillation and mutual learning first, under the full budget.", True
    )
    seed: int = rule("Seed of the sampler.", 0, at_least=0)


@dataclass(frozen=True)
class SearchSpace:
    """A graph with holes, and the settings of its search.

    `holes` and `places` have the same keys, dotted paths such as `edges.n1.n0.gate`, in the order
    of the file. A place holds the keys that lead to the hole in `template`, which is the plain data
    of the graph with the holes as the file has them. `missing_weights` has (node, model, source)
    for weights that do not exist or cannot be downloaded: no graph of the space has such a node.
    """

    name: str | None
    search: Search
    holes: Mapping[str, Hole]
    places: Mapping[str, tuple[str, ...]]
    template: Mapping[str, Any]
    missing_weights: frozenset[tuple[str, str, str]] = frozenset()

    def bind(self, values: Mapping[str, Any]) -> Graph:
        """Return the graph with every hole filled.

        Raises SpecError for a hole without a value, a value without a hole, a value that the hole
        does not allow, and a combination that the graph format refuses, such as more frozen epochs
        than epochs; MissingSourceError, which is a SpecError, for `missing_weights`.
        """
        for path in values:
            if path not in self.holes:
                hint = did_you_mean(path, self.holes)
                raise SpecError(path, f"this space has no such hole.{hint}")
        for path, hole in self.holes.items():
            if path not in values:
                raise SpecError(path, "no value is given for this hole")
            if not hole.contains(values[path]):
                allowed = show(list(hole.options_to_check()))
                raise SpecError(path, f"{show(values[path])} is not in {{{hole.word}: {allowed}}}")
        graph = self.fill(values)
        for name, node in graph.nodes.items():
            if (name, node.model, node.source) in self.missing_weights:
                problem = f"{node.source} has no weights for {node.model}"
                raise MissingSourceError(f"nodes.{name}.source", problem)
        return graph

    def fill(self, values: Mapping[str, Any]) -> Graph:
        """Return the graph with every hole filled, without asking the holes about the values."""
        return parse(self._fill_template(values))

    def narrow(
        self, options: Mapping[str, Sequence[Any]], missing_weights: Iterable[tuple[str, str, str]]
    ) -> "SearchSpace":
        """Return the space with these options of some choices, and with more `missing_weights`."""
        own = self.choices()
        holes = {path: replace(own[path], options=tuple(rest)) for path, rest in options.items()}
        return self.with_holes(holes, missing_weights)

    def choices(self) -> dict[str, Choice]:
        """Return the holes that list their options."""
        return {path: hole for path, hole in self.holes.items() if isinstance(hole, Choice)}

    def with_holes(
        self, holes: Mapping[str, Choice], missing_weights: Iterable[tuple[str, str, str]] = ()
    ) -> "SearchSpace":
        """Return the space with these holes in place of its own, and more `missing_weights`."""
        template = self._fill_template({path: hole.plain() for path, hole in holes.items()})
        every, missing = {**self.holes, **holes}, self.missing_weights | set(missing_weights)
        return replace(self, holes=every, template=template, missing_weights=missing)

    def default(self) -> dict[str, Any]:
        """Return one value for each hole: the first option of a choice, the middle of a range."""
        return {path: hole.default() for path, hole in self.holes.items()}

    def size(self) -> int | None:
        """Return the number of combinations, None where a hole is a continuum."""
        sizes = [size for hole in self.holes.values() if (size := hole.size()) is not None]
        return math.prod(sizes) if len(sizes) == len(self.holes) else None

    def locate(self, graph: Graph) -> dict[str, Any] | None:
        """Return values whose `bind` trains what `graph` does, or None when the space lacks it.

        Nodes are matched by their names. A hole in a node or edge that the graph does not have gets
        its default; an edge is cut off there if it can be.
        """
        values = {path: self._value_in(graph, path) for path in self.holes}
        try:
            found = self.bind(values)
        except SpecError:
            return None
        same = found.target == graph.target and canonical_key(found) == canonical_key(graph)
        return values if same else None

    def _fill_template(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the template with these values in the places of their holes."""
        plain: dict[str, Any] = _copy(self.template)
        for path, value in values.items():
            *steps, last = self.places[path]
            parent = plain
            for step in steps:
                parent = parent[step]
            parent[last] = value
        return plain

    def _value_in(self, graph: Graph, path: str) -> Any:
        """Return the value with which the place of a hole looks as in `graph`, else the default."""
        hole, place = self.holes[path], self.places[path]
        wanted = _part(graph, place)
        if not isinstance(hole, Choice):
            # A field may read `3` as 3.0, but an `int` hole takes whole numbers only.
            whole = isinstance(hole, Int) and isinstance(wanted, float) and wanted.is_integer()
            return hole.default() if wanted is None else int(wanted) if whole else wanted
        # Compared as parts of a parsed graph, where `{}` and `{gate: through}` are equal.
        filled = [(option, self.fill(self.default() | {path: option})) for option in hole.options]
        parts = [(option, _part(other, place)) for option, other in filled]
        if wanted is None and place[0] == "edges":
            fits = (option for option, part in parts if _cuts_off(part))
        else:
            fits = (option for option, part in parts if part == wanted)
        return next(fits, hole.default())


def _cuts_off(part: Any) -> bool:
    """Return whether a part of an edge, or a whole edge, closes its gate for good."""
    return "cutoff" in (part, getattr(part, "gate", None))


def _part(graph: Graph, place: tuple[str, ...]) -> Any:
    """Return what the graph has at a place, or None when it has no such node, edge or source."""
    part: Any = graph
    for i, step in enumerate(place):
        if isinstance(part, Mapping):
            name: Any = split_edge(step) if place[:i] == ("edges",) else step
            part = part.get(name)
        else:
            part = getattr(part, step, None)
    return part


def _copy(value: Any) -> Any:
    """Return a copy of nested mappings, which shares all other values with the original."""
    if not isinstance(value, Mapping):
        return value
    return {key: _copy(item) for key, item in value.items()}
