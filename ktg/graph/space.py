"""Defines search spaces: graphs with holes, which `bind` fills, and the settings of a search."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ktg.errors import MissingSourceError, SpecError, did_you_mean, show
from ktg.graph.canonical import canonical_key, live_nodes, open_edges
from ktg.graph.fields import rule
from ktg.graph.holes import Choice, Hole, Int
from ktg.graph.parse import FORMAT_VERSION, parse, split_edge
from ktg.graph.spec import Graph
from ktg.graph.vocabulary import Scalar
from ktg.wording import parse_duration

SamplerName = Literal["random", "tpe", "gp", "grid"]
SchedulerName = Literal["asha", "hyperband", "auto", "none"]
MetricName = Literal["accuracy", "balanced_accuracy", "macro_f1", "auroc", "loss"]
DEFAULT_TRIALS = 100


@dataclass(frozen=True, kw_only=True)
class Search:
    """How a search space is searched."""

    trials: int | None = rule(
        "Different graphs to train, the baselines and the race not counted; default: 100, or as "
        "many as the budget allows.",
        None,
        at_least=1,
    )
    budget: str | None = rule(
        "Wall time for everything after the images are decoded, such as 90s, 30m or 1h30m; "
        "default: none, the trials are counted.",
        None,
    )
    metric: MetricName = rule(
        "What is compared on the validation split: which graph is the best, what is stopped early "
        "and what the sampler learns.",
        "accuracy",
    )
    sampler: SamplerName = rule(
        "How the next graph is chosen: at random, by Optuna's TPE or Gaussian process, or each of "
        "a small space once.",
        "tpe",
    )
    scheduler: SchedulerName = rule(
        "asha stops poor trials early; hyperband does, but gives a part of the trials more time "
        "before it; auto stops only where ranks so far are proven to foretell those at the end.",
        "none",
    )
    alone_share: float = rule(
        "Share of the trials for the target by itself, with its own holes and up to as many times "
        "the epochs, or steps, as there are nodes: the control `tuned alone`.",
        1 / 3,
        at_least=0,
        below=1,
    )
    race_share: float = rule(
        "Share of the device time at the end for new seeds of the best graphs, the control and "
        "the baselines: the best mean wins.",
        0.25,
        at_least=0,
        below=1,
    )
    folds: int | None = rule(
        "Cut the images into this many parts: trial i is validated on part i mod folds and trains "
        "on the others, its teachers too; the race takes other parts with its new seeds. Default: "
        "one validation split for all. Not for data with a val split; a teacher is trained once "
        "for each part.",
        None,
        at_least=2,
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
        "Train first, and to the end, what a careful user would try by hand: a probe and "
        "head, then fine-tuning of pretrained weights, alone, distillation, mutual learning; "
        "of longer searches also the distillation of three such teachers at once.",
        True,
    )
    seed: int = rule("Seed of the sampler.", 0, at_least=0)
    opening: tuple[Mapping[str, Scalar], ...] = rule(
        "What is tried first, in this order, before the sampler chooses: values of holes by their "
        "dotted paths, such as {edges.label.n0.gate: cutoff}; other holes have their default.",
        (),
    )

    @property
    def most_trials(self) -> int | None:
        """How many graphs are trained at most, None where only the budget says."""
        if self.trials is None and self.budget is None:
            return DEFAULT_TRIALS
        return self.trials

    @property
    def budget_s(self) -> float | None:
        """The budget in seconds of wall time."""
        return None if self.budget is None else parse_duration(self.budget)


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

    @property
    def version(self) -> int:
        """The version of the format that the space is written in."""
        return int(self.template.get("version", FORMAT_VERSION))

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

    def find_acting(self, graph: Graph) -> set[str]:
        """Return the holes whose values change what a graph of this space trains.

        Those of a node do so where an open edge leads on from it to the target, those of an edge
        where it ends at such a node and is open; its gate does, open or not. In an ensemble any
        gate does, as an open edge makes its ends members.
        """
        alive, opened = {graph.target, *live_nodes(graph)}, open_edges(graph)

        def acts(place: tuple[str, ...]) -> bool:
            if place[0] not in ("nodes", "edges"):  # of one of these, or a whole section
                return True
            section, name, *fields = place
            if section == "nodes":
                return name in alive
            pair = split_edge(name)
            if fields in ([], ["gate"]):
                return graph.ensemble or pair[1] in alive
            return pair[1] in alive and pair in opened

        return {path for path, place in self.places.items() if acts(place)}

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
            parent[last] = _copy(value)  # another hole may lie within it
        return plain

    def read_values(self, graphs: Iterable[Graph]) -> list[dict[str, Any]]:
        """Return for each graph the values that it has at the places of holes, if they are allowed.

        Nodes are matched by their names. A hole is left out where a graph has nothing at its place,
        or what the hole does not allow.
        """
        options = {path: self._list_parts(path) for path in self.choices()}
        found = []
        for graph in graphs:
            values = {
                path: _match(hole, _part(graph, self.places[path]), options.get(path, []))
                for path, hole in self.holes.items()
            }
            found.append(
                {
                    path: value
                    for path, value in values.items()
                    if value is not _NOTHING and self.holes[path].contains(value)
                }
            )
        return found

    def _value_in(self, graph: Graph, path: str) -> Any:
        """Return the value with which the place of a hole looks as in `graph`, else the default."""
        hole, wanted = self.holes[path], _part(graph, self.places[path])
        parts = self._list_parts(path) if isinstance(hole, Choice) else []
        if wanted is None and self.places[path][0] == "edges" and parts:
            return next((option for option, part in parts if _cuts_off(part)), hole.default())
        found = _match(hole, wanted, parts)
        return hole.default() if found is _NOTHING else found

    def _list_parts(self, path: str) -> list[tuple[Any, Any]]:
        """Return each option of a choice with the part of a parsed graph that it is there.

        In a parsed graph `{}` and `{gate: through}` are equal.
        """
        default, place = self.default(), self.places[path]
        options = self.choices()[path].options
        return [(option, _part(self.fill(default | {path: option}), place)) for option in options]


_NOTHING = object()


def _match(hole: Hole, wanted: Any, parts: Sequence[tuple[Any, Any]]) -> Any:
    """Return the value of a hole that gives the wanted part of a graph, else _NOTHING.

    parts: of a choice, each option with the part it gives.
    """
    if isinstance(hole, Choice):
        return next((option for option, part in parts if part == wanted), _NOTHING)
    # A field may read `3` as 3.0, but an `int` hole takes whole numbers only.
    whole = isinstance(hole, Int) and isinstance(wanted, float) and wanted.is_integer()
    return _NOTHING if wanted is None else int(wanted) if whole else wanted


def dump_space(space: SearchSpace) -> dict[str, Any]:
    """Return a space as plain data, with every setting of its search: no default can change it."""
    fields = dataclasses.asdict(space.search)
    search = {key: value for key, value in fields.items() if value is not None}
    return {"version": space.version, **space.template, "search": search}


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
