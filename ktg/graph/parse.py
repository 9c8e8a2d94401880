"""From plain data (what YAML or JSON gives) to a `Graph`, and back without loss.

>>> graph = parse({"data": {"name": "digits"}, "nodes": {"n0": {"model": "resnet8"}},
...                "edges": {"label -> n0": {}}})
>>> dump(graph)["edges"]
{'label -> n0': {'loss': 'ce'}}
"""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from ktg.errors import SpecError, did_you_mean, not_one_of, show
from ktg.graph.fields import (
    check_keys,
    check_mapping,
    from_plain,
    join_path,
    read_scalars,
    to_plain,
)
from ktg.graph.spec import (
    ANY,
    FORMULAS,
    LABEL,
    MAP_LOSSES,
    Data,
    Edge,
    Graph,
    LossName,
    Node,
    SourceFile,
    TargetName,
    Train,
)

FORMAT_VERSION = 1
SECTIONS = (
    "version",
    "data",
    "train",
    "target",
    "sources",
    "weights",
    "nodes",
    "edges",
    "provenance",
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ARROW = re.compile(r"\s*(\S+)\s*->\s*(\S+)\s*")
_BUILTIN_SOURCES = ("none",)


def parse(raw: Mapping[str, Any]) -> Graph:
    """Return the graph that `raw` describes.

    Raises SpecError for anything the format does not allow, with the dotted path of the place.
    """
    lines, raw = raw, normalise(raw)
    with name_pattern_line(lines["edges"], raw["edges"]):
        return _graph(raw)


def _graph(raw: Mapping[str, Any]) -> Graph:
    data = from_plain(Data, raw["data"], "data")
    _one_origin(data)
    graph = Graph(
        data=data,
        train=from_plain(Train, raw.get("train", {}), "train"),
        nodes={
            name: from_plain(Node, node, f"nodes.{name}") for name, node in raw["nodes"].items()
        },
        edges={split_edge(key): _edge(key, edge) for key, edge in raw["edges"].items()},
        sources=_sources(raw.get("sources", {})),
        weights=read_weights(raw.get("weights", {})),
        provenance=read_scalars(raw.get("provenance", {}), "provenance"),
        ensemble=_ensemble(raw.get("target", "first")),
    )
    _across_fields(graph)
    return graph


def dump(graph: Graph) -> dict[str, Any]:
    """Return the graph as plain data; `parse(dump(graph)) == graph`. Fields that have their default are left out."""
    plain: dict[str, Any] = {
        "version": FORMAT_VERSION,
        "data": to_plain(graph.data),
        "train": to_plain(graph.train),
    }
    if graph.ensemble:
        plain["target"] = "ensemble"
    if graph.sources:
        plain["sources"] = {name: to_plain(source) for name, source in graph.sources.items()}
    if graph.weights:
        plain["weights"] = {model: _short(to_plain(file)) for model, file in graph.weights.items()}
    plain["nodes"] = {name: to_plain(node) for name, node in graph.nodes.items()}
    plain["edges"] = {edge_key(*pair): to_plain(edge) for pair, edge in graph.edges.items()}
    if graph.provenance:
        plain["provenance"] = dict(graph.provenance)
    return plain


def normalise(raw: Mapping[str, Any], extra_sections: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return `raw` with checked sections and names, and every `any` edge written out for the nodes it stands for.

    Values inside nodes, edges and sections are left as they are, so that a search space may keep
    holes there.
    """
    raw = check_mapping(raw, "")
    check_keys(raw, dict.fromkeys(SECTIONS + extra_sections), "")
    _version(raw.get("version", FORMAT_VERSION))
    for section in ("data", "nodes", "edges"):
        if section not in raw:
            raise SpecError(section, "this section is missing")
    plain = {key: value for key, value in raw.items() if key != "version"}
    nodes = check_mapping(raw["nodes"], "nodes")
    if not nodes:
        raise SpecError("nodes", "at least one node is needed; the first is the target")
    for name in nodes:
        _node_name(name)
    plain["nodes"] = dict(nodes)
    plain["edges"] = _expand(check_mapping(raw["edges"], "edges"), list(nodes))
    return plain


def edge_key(source: str, target: str) -> str:
    """Return the name of an edge as files write it: `source -> target`."""
    return f"{source} -> {target}"


def split_edge(key: str) -> tuple[str, str]:
    """Return (source, target) of an edge written `source -> target`."""
    match = _ARROW.fullmatch(key)
    if match is None:
        raise SpecError(
            f"edges.{key}", "an edge is written `source -> target`, for example `label -> n0`"
        )
    return match.group(1), match.group(2)


def edge_path(source: str, target: str) -> str:
    """Return the dotted path of an edge, which MLflow, Optuna and Ray accept as a name."""
    return f"edges.{source}.{target}"


@contextlib.contextmanager
def name_pattern_line(lines: Mapping[str, Any], edges: Mapping[str, Any]) -> Iterator[None]:
    """In errors raised inside, name the line with `any` that an edge was written out from: `edges.any -> n0.gate`."""
    try:
        yield
    except SpecError as error:
        for pair, edge in edges.items():
            place = edge_path(*split_edge(pair))
            if error.path == place or error.path.startswith(f"{place}."):
                written = [line for line, value in lines.items() if value is edge]
                if all(ANY in split_edge(line) for line in written):
                    raise type(error)(
                        f"edges.{written[0]}{error.path.removeprefix(place)}", error.problem
                    ) from error
        raise


def _expand(raw: Mapping[str, Any], nodes: list[str]) -> dict[str, Any]:
    """Write out `any`: the line that names more nodes wins, then the later line."""
    ranked: dict[tuple[str, str], tuple[int, Any]] = {}
    for key, value in raw.items():
        source, target = split_edge(key)
        _endpoints(key, source, target, nodes)
        exactness = (source != ANY) + (target != ANY)
        for s in nodes if source == ANY else [source]:
            for t in nodes if target == ANY else [target]:
                if s != t and ranked.get((s, t), (-1,))[0] <= exactness:
                    ranked[s, t] = (exactness, value)
    order = [(s, t) for t in nodes for s in [LABEL, *nodes] if (s, t) in ranked]
    return {edge_key(*pair): ranked[pair][1] for pair in order}


def _endpoints(key: str, source: str, target: str, nodes: list[str]) -> None:
    path = f"edges.{key}"
    if target == LABEL:
        raise SpecError(
            path,
            "an edge cannot end at `label`: nothing teaches the labels; allowed: label -> node",
        )
    for name in (source, target):
        if name not in (LABEL, ANY, *nodes):
            raise SpecError(
                path,
                f"there is no node {name!r}; nodes: {', '.join(nodes)}.{did_you_mean(name, nodes)}",
            )
    if source == target and source != ANY:
        raise SpecError(path, f"an edge from {source!r} to itself; a node cannot teach itself")


def _node_name(name: str) -> None:
    path = f"nodes.{name}"
    if name in (LABEL, ANY):
        raise SpecError(
            path, f"{name!r} is a reserved word; name the node otherwise, for example n1"
        )
    if not _NAME.fullmatch(name):
        raise SpecError(
            path, "a node's name has letters, digits, _ and - only, and starts with a letter"
        )


def _edge(key: str, raw: object) -> Edge:
    source, target = split_edge(key)
    path = edge_path(source, target)
    raw = dict(check_mapping({} if raw is None else raw, path))
    raw.setdefault("loss", "ce" if source == LABEL else "kl")
    edge = from_plain(Edge, raw, path)
    if (edge.loss == "ce") != (source == LABEL):
        allowed = (
            "ce"
            if source == LABEL
            else ", ".join(name for name in get_args(LossName) if name != "ce")
        )
        kind = "an edge from `label`" if source == LABEL else "an edge between nodes"
        raise SpecError(
            join_path(path, "loss"), f"{edge.loss!r} does not fit {kind}; allowed: {allowed}"
        )
    return edge


def _sources(raw: object) -> dict[str, SourceFile]:
    sources = {}
    for name, source in check_mapping(raw, "sources").items():
        if name in _BUILTIN_SOURCES or not _NAME.fullmatch(name):
            raise SpecError(
                f"sources.{name}", f"{name!r} cannot name a source; use letters, digits, _ and -"
            )
        sources[name] = from_plain(SourceFile, source, f"sources.{name}")
    return sources


def read_weights(raw: object) -> dict[str, SourceFile]:
    """Return the files of the section `weights` by model; each is given as a path, or like those of `sources`."""
    files = check_mapping(raw, "weights").items()
    return {
        model: from_plain(
            SourceFile, {"path": file} if isinstance(file, str) else file, f"weights.{model}"
        )
        for model, file in files
    }


def _short(file: dict[str, Any]) -> Any:
    return file["path"] if file.keys() == {"path"} else file


def _version(value: object) -> None:
    if value != FORMAT_VERSION:
        raise SpecError(
            "version", f"{show(value)} is not a format this ktg reads; allowed: {FORMAT_VERSION}"
        )


def _ensemble(target: object) -> bool:
    if target not in get_args(TargetName):
        raise not_one_of("target", target, "a value of `target`", get_args(TargetName))
    return target == "ensemble"


def _one_origin(data: Data) -> None:
    if (data.name is None) == (data.path is None):
        raise SpecError("data", "give either `name` (a known data set) or `path` (your own images)")
    if data.formula is not None and data.name not in FORMULAS:
        problem = f"is for data drawn by a formula, not for {data.name or data.path}"
        raise SpecError(
            "data.formula", f"{problem}; with it, allowed for data.name: {', '.join(FORMULAS)}"
        )
    if data.unlabelled is not None and data.name in FORMULAS:
        raise SpecError(
            "data.unlabelled",
            f"does not go with images drawn by a formula ({data.name}); leave it out",
        )
    if data.only == ():
        raise SpecError("data.only", "is empty; name at least two classes, or leave it out")


def _across_fields(graph: Graph) -> None:
    """Check what no field can know alone."""
    train = graph.train
    if any(b <= a for a, b in zip(train.milestones, train.milestones[1:], strict=False)):
        raise SpecError(
            "train.milestones", f"must rise from one to the next, got {list(train.milestones)}"
        )
    if train.warmup_epochs > train.epochs:
        raise SpecError(
            "train.warmup_epochs",
            f"{train.warmup_epochs:g} is more than train.epochs ({train.epochs})",
        )
    for name, node in graph.nodes.items():
        if node.frozen_epochs > train.epochs:
            place = f"nodes.{name}.frozen_epochs"
            raise SpecError(
                place, f"{node.frozen_epochs} is more than train.epochs ({train.epochs})"
            )
        if node.frozen_views is not None and graph.data.augment == "cutmix_or_mixup":
            problem = "data.augment: cutmix_or_mixup mixes each batch anew, and no view stays fixed; leave out one"
            raise SpecError(f"nodes.{name}.frozen_views", problem)
        if node.frozen_views is not None:
            _check_views(graph, name)


def _check_views(graph: Graph, node: str) -> None:
    """Raise for an edge that needs more of a node than the head's input, which is all that is kept of fixed views."""
    for pair, edge in graph.edges.items():
        if node in pair and edge.gate != "cutoff":
            why = f"{edge_key(*pair)} compares maps" if edge.loss in MAP_LOSSES else None
            if graph.data.unlabelled is not None and not edge.needs_label:
                why = f"{edge_key(*pair)} is shown new images of data.unlabelled in every step"
            if why:
                problem = (
                    f"{why}, and of fixed views only what the head is given is kept; leave out one"
                )
                raise SpecError(f"nodes.{node}.frozen_views", problem)
