"""Parses plain data, as YAML or JSON gives it, to a `Graph`, and dumps a graph without loss.

>>> graph = parse({"data": {"name": "digits"}, "nodes": {"n0": {"model": "resnet8"}},
...                "edges": {"label -> n0": {}}})
>>> dump(graph)["edges"]
{'label -> n0': {'loss': 'ce'}}
"""

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, get_args

from ktg.errors import SpecError, did_you_mean, not_one_of, show
from ktg.graph.data_spec import Data
from ktg.graph.fields import (
    check_keys,
    check_mapping,
    from_plain,
    join_path,
    read_scalars,
    to_plain,
)
from ktg.graph.recipes import FOR_WEIGHTS_ONLY, WITHOUT_RECIPES, fill_recipes, find_recipe
from ktg.graph.spec import Edge, Graph, Node, SourceFile, Train
from ktg.graph.vocabulary import (
    ANY,
    AUTO,
    FORMULAS,
    LABEL,
    LABEL_LOSSES,
    MAP_LOSSES,
    PEER_GATES,
    LossName,
    TargetName,
)

FORMAT_VERSION = 3
VERSIONS = (WITHOUT_RECIPES, FOR_WEIGHTS_ONLY, FORMAT_VERSION)
_GRAPH_PARTS = ("target", "sources", "weights", "nodes", "edges", "provenance")
SECTIONS = ("version", "data", "train", *_GRAPH_PARTS)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ARROW = re.compile(r"\s*(\S+)\s*->\s*(\S+)\s*")


def parse(raw: Mapping[str, Any]) -> Graph:
    """Return the graph that `raw` describes.

    Raises SpecError for anything the format does not allow, with the dotted path of the place.
    """
    lines, raw = raw, normalise(raw)
    with name_pattern_line(lines["edges"], raw["edges"]):
        return _read_graph(raw)


def _read_graph(raw: Mapping[str, Any]) -> Graph:
    data, train, nodes = from_plain(Data, raw["data"], "data"), raw.get("train", {}), raw["nodes"]
    _check_data(data)
    nodes = fill_recipes(nodes, train, raw["version"])
    graph = Graph(
        data=data,
        train=from_plain(Train, train, "train"),
        nodes={name: from_plain(Node, node, f"nodes.{name}") for name, node in nodes.items()},
        edges={split_edge(key): _read_edge(key, edge) for key, edge in raw["edges"].items()},
        sources=_read_sources(raw.get("sources", {})),
        weights=read_weights(raw.get("weights", {})),
        provenance=read_scalars(raw.get("provenance", {}), "provenance"),
        ensemble=_is_ensemble(raw.get("target", "first")),
    )
    _check_across_fields(graph)
    return graph


def dump(graph: Graph) -> dict[str, Any]:
    """Return the graph as plain data, without the fields that have their default.

    `parse(dump(graph)) == graph`. Where a node would get a recipe (see `ktg.graph.recipes`) that it
    does not have, optimizer and rate stand in `train`, default or not.
    """
    plain = {"version": FORMAT_VERSION, **to_sections(graph)}
    if any(find_recipe(node, plain["train"]) for node in plain["nodes"].values()):
        said = {"optimizer": graph.train.optimizer, "lr": graph.train.lr}
        plain["train"] = to_plain(graph.train) | said
    return plain


def to_sections(graph: Graph) -> dict[str, Any]:
    """Return the sections of a graph as plain data, without the fields that have their default.

    It is what `dump` writes, whatever the version of the format.
    """
    plain: dict[str, Any] = {"data": to_plain(graph.data), "train": to_plain(graph.train)}
    if graph.ensemble:
        plain["target"] = "ensemble"
    if graph.sources:
        plain["sources"] = {name: to_plain(source) for name, source in graph.sources.items()}
    if graph.weights:
        files = {model: to_plain(file) for model, file in graph.weights.items()}
        # A file with nothing but a path is written as that path.
        plain["weights"] = {
            model: file["path"] if file.keys() == {"path"} else file
            for model, file in files.items()
        }
    plain["nodes"] = {name: to_plain(node) for name, node in graph.nodes.items()}
    plain["edges"] = {edge_key(*pair): to_plain(edge) for pair, edge in graph.edges.items()}
    if graph.provenance:
        plain["provenance"] = dict(graph.provenance)
    return plain


def normalise(raw: Mapping[str, Any], extra_sections: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return `raw` with checked sections and names, and with an edge for each that `any` means.

    `version` is there, too. Values inside nodes, edges and sections stay as they are, so that a
    search space may have holes there.
    """
    raw = check_mapping(raw, "")
    check_keys(raw, dict.fromkeys(SECTIONS + extra_sections), "")
    version = raw.get("version", FORMAT_VERSION)
    if version not in VERSIONS or not isinstance(version, int) or isinstance(version, bool):
        allowed = ", ".join(map(str, VERSIONS))
        problem = f"{show(version)} is not a format this ktg reads; allowed: {allowed}"
        raise SpecError("version", problem)
    for section in ("data", "nodes", "edges"):
        if section not in raw:
            raise SpecError(section, "this section is missing")
    plain = {"version": version, **raw}
    nodes = check_mapping(raw["nodes"], "nodes")
    if not nodes:
        raise SpecError("nodes", "at least one node is needed; the first is the target")
    for name in nodes:
        _check_node_name(name)
    plain["nodes"] = {name: _choose_source_too(node) for name, node in nodes.items()}
    plain["edges"] = _expand_any(check_mapping(raw["edges"], "edges"), list(nodes))
    return plain


def _choose_source_too(node: Any) -> Any:
    """Return a node with `source: auto` where it says `model: auto` and nothing of a source."""
    is_auto = isinstance(node, Mapping) and node.get("model") == AUTO
    return {**node, "source": node.get("source", AUTO)} if is_auto else node


def edge_key(source: str, target: str) -> str:
    """Return the name of an edge as files write it: `source -> target`."""
    return f"{source} -> {target}"


def split_edge(key: str) -> tuple[str, str]:
    """Return (source, target) of an edge written `source -> target`."""
    match = _ARROW.fullmatch(key)
    if match is None:
        problem = "an edge is written `source -> target`, for example `label -> n0`"
        raise SpecError(f"edges.{key}", problem)
    return match.group(1), match.group(2)


def edge_path(source: str, target: str) -> str:
    """Return the dotted path of an edge, which MLflow, Optuna and Ray accept as a name."""
    return f"edges.{source}.{target}"


@contextlib.contextmanager
def name_pattern_line(lines: Mapping[str, Any], edges: Mapping[str, Any]) -> Iterator[None]:
    """Report errors at an edge that `any` stands for under the line of the file: `any -> n0`.

    lines: the edges as the file has them. edges: the same with `any` written out, whose values are
    the very objects of `lines`.
    """
    try:
        yield
    except SpecError as error:
        for pair, edge in edges.items():
            place = edge_path(*split_edge(pair))
            if error.path == place or error.path.startswith(f"{place}."):
                # By identity, because two lines may well hold equal values.
                written = [line for line, value in lines.items() if value is edge]
                if all(ANY in split_edge(line) for line in written):
                    path = f"edges.{written[0]}{error.path.removeprefix(place)}"
                    raise type(error)(path, error.problem) from error
        raise


def _expand_any(raw: Mapping[str, Any], nodes: list[str]) -> dict[str, Any]:
    """Return one edge for each pair that a line means: the line that names more nodes wins.

    Of two lines that name equally many, the later one wins.
    """
    ranked: dict[tuple[str, str], tuple[int, Any]] = {}
    for key, value in raw.items():
        source, target = split_edge(key)
        _check_ends(key, source, target, nodes)
        exactness = (source != ANY) + (target != ANY)
        for s in nodes if source == ANY else [source]:
            for t in nodes if target == ANY else [target]:
                if s != t and ranked.get((s, t), (-1,))[0] <= exactness:
                    ranked[s, t] = (exactness, value)
    order = [(s, t) for t in nodes for s in [LABEL, *nodes] if (s, t) in ranked]
    return {edge_key(*pair): ranked[pair][1] for pair in order}


def _check_ends(key: str, source: str, target: str, nodes: list[str]) -> None:
    path = f"edges.{key}"
    if target == LABEL:
        problem = (
            "an edge cannot end at `label`: nothing teaches the labels; allowed: label -> node"
        )
        raise SpecError(path, problem)
    for name in (source, target):
        if name not in (LABEL, ANY, *nodes):
            hint = did_you_mean(name, nodes)
            raise SpecError(path, f"there is no node {name!r}; nodes: {', '.join(nodes)}.{hint}")
    if source == target and source != ANY:
        raise SpecError(path, f"an edge from {source!r} to itself; a node cannot teach itself")


def _check_node_name(name: str) -> None:
    if name in (LABEL, ANY):
        problem = f"{name!r} is a reserved word; name the node otherwise, for example n1"
        raise SpecError(f"nodes.{name}", problem)
    if not _NAME.fullmatch(name):
        problem = "a node's name has letters, digits, _ and - only, and starts with a letter"
        raise SpecError(f"nodes.{name}", problem)


def _read_edge(key: str, raw: object) -> Edge:
    source, target = split_edge(key)
    path = edge_path(source, target)
    raw = dict(check_mapping({} if raw is None else raw, path))
    raw.setdefault("loss", "ce" if source == LABEL else "kl")
    edge = from_plain(Edge, raw, path)
    if (edge.loss in LABEL_LOSSES) != (source == LABEL):
        kind = "an edge from `label`" if source == LABEL else "an edge between nodes"
        names = get_args(LossName)
        fitting = [name for name in names if (name in LABEL_LOSSES) == (source == LABEL)]
        problem = f"{edge.loss!r} does not fit {kind}; allowed: {', '.join(fitting)}"
        raise SpecError(join_path(path, "loss"), problem)
    return edge


def _read_sources(raw: object) -> dict[str, SourceFile]:
    sources = {}
    for name, source in check_mapping(raw, "sources").items():
        if name == "none" or not _NAME.fullmatch(name):
            problem = f"{name!r} cannot name a source; use letters, digits, _ and -"
            raise SpecError(f"sources.{name}", problem)
        sources[name] = from_plain(SourceFile, source, f"sources.{name}")
    return sources


def read_weights(raw: object) -> dict[str, SourceFile]:
    """Return the files of the section `weights` by model.

    Each is written as a path, or as a mapping like those of `sources`.
    """
    weights = {}
    for model, file in check_mapping(raw, "weights").items():
        file = {"path": file} if isinstance(file, str) else file
        weights[model] = from_plain(SourceFile, file, f"weights.{model}")
    return weights


def _is_ensemble(target: object) -> bool:
    if target not in get_args(TargetName):
        raise not_one_of("target", target, "a value of `target`", get_args(TargetName))
    return target == "ensemble"


def _check_data(data: Data) -> None:
    _check_place(data)
    if data.formula is not None and data.name not in FORMULAS:
        problem = f"is for data drawn by a formula, not for {data.name or data.path}"
        allowed = f"with it, allowed for data.name: {', '.join(FORMULAS)}"
        raise SpecError("data.formula", f"{problem}; {allowed}")
    if data.name in FORMULAS:
        _check_drawn(data)
    if data.views is not None and data.augment == "cutmix_or_mixup":
        problem = "data.augment: cutmix_or_mixup mixes each batch differently, so that no view"
        raise SpecError("data.views", f"{problem} stays fixed; leave out one")
    if data.views is not None and data.cache == "never":
        problem = "views are drawn once and kept in the cache; leave out data.cache: never"
        raise SpecError("data.views", problem)
    if data.fold >= (data.folds or 1):
        folds = "leave it out, or say data.folds"
        allowed = folds if data.folds is None else f"allowed: 0 to {data.folds - 1}"
        raise SpecError("data.fold", f"there is no fold {data.fold}; {allowed}")
    if data.unlabelled == ():
        raise SpecError("data.unlabelled", "is empty; name a place, or leave it out")
    if data.only == ():
        raise SpecError("data.only", "is empty; name at least two classes, or leave it out")


def _check_place(data: Data) -> None:
    """Raise SpecError unless there is one place of images, and tables only beside a path."""
    if (data.name is None) == (data.path is None):
        raise SpecError("data", "give either `name` (a known data set) or `path` (your own images)")
    for key in ("labels", "groups"):
        if getattr(data, key) is not None and data.path is None:
            problem = f"goes with data.path, not with the data set {data.name}"
            raise SpecError(f"data.{key}", problem)


def _check_drawn(data: Data) -> None:
    """Raise SpecError for what pictures drawn by a formula do not go with."""
    problem = f"does not go with images drawn by a formula ({data.name}); leave it out"
    for field in ("views", "folds", "label_noise"):
        if getattr(data, field) not in (None, 0.0):
            raise SpecError(f"data.{field}", problem)
    if data.unlabelled not in (None, (AUTO,)):
        raise SpecError("data.unlabelled", f"{problem}, or give auto")


def _check_across_fields(graph: Graph) -> None:
    """Raise SpecError for fields that do not go together."""
    train = graph.train
    if any(b <= a for a, b in itertools.pairwise(train.milestones)):
        problem = f"must rise from one to the next, got {list(train.milestones)}"
        raise SpecError("train.milestones", problem)
    if train.steps is not None and train.steps < train.epochs:
        problem = f"{train.steps} are fewer than train.epochs ({train.epochs})"
        raise SpecError("train.steps", f"{problem}, each of which needs one")
    _check_auto(graph)
    _check_phase("train.warmup_epochs", train.warmup_epochs, train)
    for name, node in graph.nodes.items():
        own = replace(train, epochs=max(train.epochs, node.epochs or 0))
        _check_phase(f"nodes.{name}.frozen_epochs", node.frozen_epochs, own)
        _check_phase(f"nodes.{name}.warmup_epochs", node.warmup_epochs or 0, own)
        if node.frozen_views is not None and graph.data.views is not None:
            problem = "data.views draws the views of all nodes; leave out one"
            raise SpecError(f"nodes.{name}.frozen_views", problem)
        if node.frozen_views is not None and graph.data.augment == "cutmix_or_mixup":
            problem = "cutmix_or_mixup mixes each batch differently, so that no view stays fixed"
            place = f"nodes.{name}.frozen_views"
            raise SpecError(place, f"data.augment: {problem}; leave out one")
        if node.frozen_views is not None:
            _check_views(graph, name)
    for pair in graph.edges:
        _check_peer(graph, pair)


def _check_auto(graph: Graph) -> None:
    """Raise SpecError for a target to be chosen, and for a choice among no weights at all."""
    for name, node in graph.nodes.items():
        for field in ("model", "source"):
            if name == graph.target and getattr(node, field) == AUTO:
                problem = "auto is for the other nodes, which help; what is deployed has a name"
                raise SpecError(f"nodes.{name}.{field}", problem)
        if node.model == AUTO and node.source == "none":
            problem = "model: auto chooses by what weights know of the images; leave this out"
            raise SpecError(f"nodes.{name}.source", problem)


def _check_peer(graph: Graph, pair: tuple[str, str]) -> None:
    """Raise SpecError for a peer that is no node, or has no place on the edge, or is missing."""
    edge, (source, target) = graph.edges[pair], pair
    place = f"{edge_path(*pair)}.peer"
    if edge.peer is not None and source != LABEL:
        raise SpecError(place, f"is for edges from `label`; here the peer is the source, {source}")
    if edge.peer is not None and edge.peer not in graph.nodes:
        hint = did_you_mean(edge.peer, graph.nodes)
        known = f"nodes: {', '.join(graph.nodes)}"
        raise SpecError(place, f"there is no node {show(edge.peer)}; {known}.{hint}")
    if source == LABEL and edge.gate in PEER_GATES and edge.peer in (None, target):
        problem = f"gate {edge.gate} compares the predictions of {target!r} with those of another"
        raise SpecError(place, f"{problem} node; name it, for example `peer: n1`")


def _check_phase(path: str, epochs: float, train: Train) -> None:
    """Raise SpecError for a phase at the start that is longer than the training."""
    # Of a training without epochs nothing is said: it is the network as it begins.
    if epochs > train.epochs > 0:
        raise SpecError(path, f"{epochs:g} is more than train.epochs ({train.epochs})")


def _check_views(graph: Graph, node: str) -> None:
    """Raise SpecError for an edge that needs more than features of a node with fixed views.

    Of fixed views only the head's input is stored, so there are no maps and no other images.
    """
    for pair, edge in graph.edges.items():
        if node in pair and edge.gate != "cutoff":
            why = f"{edge_key(*pair)} compares maps" if edge.loss in MAP_LOSSES else None
            if graph.data.unlabelled is not None and not edge.needs_label:
                why = f"{edge_key(*pair)} is shown new images of data.unlabelled in every step"
            if why:
                problem = f"{why}, and of fixed views only the input of the head is stored"
                raise SpecError(f"nodes.{node}.frozen_views", f"{problem}; leave out one")
