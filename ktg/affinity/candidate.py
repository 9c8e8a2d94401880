"""Defines candidates, models with a source of weights, and builds their networks and heads."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ktg.data import Dataset
from ktg.errors import SpecError, show
from ktg.graph import Node, SearchSpace, SourceFile, sources_for
from ktg.graph.recipes import with_weights
from ktg.models.architectures import build_on_meta
from ktg.models.build import build_network, read_weights
from ktg.models.names import check_model
from ktg.models.network import Network
from ktg.models.resolve import resolve_source
from ktg.models.state_dicts import translate_for

# The fields of a node that say which network it is.
WEIGHTS = ("model", "source", "model_args", "input_size")
NO_FILES: Mapping[str, SourceFile] = MappingProxyType({})


@dataclass(frozen=True)
class Candidate:
    """A node to be judged, and what to call it."""

    name: str
    node: Node


def parse(
    texts: Sequence[str],
    sources: Mapping[str, SourceFile],
    base: Path | None = None,
    like: Node | None = None,
    weights: Mapping[str, SourceFile] = NO_FILES,
) -> list[Candidate]:
    """Return the candidates of `MODEL@SOURCE` texts.

    A source is none, imagenet, a name of `sources` or a file.

    weights: by model, files that stand for imagenet.
    like: a node whose other settings they share; its `model_args` where the model is the same.
    Files are called by their last name where that tells them apart.
    Raises SpecError for another form, an unknown model, and a source that is not there.
    """
    nodes = [_node(text, sources, weights, base) for text in dict.fromkeys(texts)]
    if like is not None:
        nodes = [
            dataclasses.replace(
                with_weights(like, node.model, node.source),
                model_args=like.model_args if like.model == node.model else {},
            )
            for node in nodes
        ]
    return name_candidates(nodes)


def name_candidates(nodes: Sequence[Node]) -> list[Candidate]:
    """Return the nodes as candidates, each by the shortest name that tells it from the others."""
    names = [f"{node.model}@{node.source.rpartition('/')[2]}" for node in nodes]
    for longer in (_with_path, _with_arguments):
        counts = Counter(names)
        names = [
            longer(node) if counts[name] > 1 else name
            for node, name in zip(nodes, names, strict=True)
        ]
    counts = Counter(names)
    places = {name: itertools.count(1) for name in counts}
    names = [f"{name} #{next(places[name])}" if counts[name] > 1 else name for name in names]
    return [Candidate(name, node) for name, node in zip(names, nodes, strict=True)]


def _with_path(node: Node) -> str:
    return f"{node.model}@{node.source}"


def _with_arguments(node: Node) -> str:
    given = ", ".join(f"{key}={value}" for key, value in node.model_args.items())
    return f"{_with_path(node)} ({given})" if given else _with_path(node)


def list_candidates(space: SearchSpace) -> list[Candidate]:
    """Return every network that the space's target can be; all other holes have their defaults."""
    default = space.default()
    target = space.bind(default).target
    varied = [
        path
        for path, place in space.places.items()
        if place[:2] == ("nodes", target) and (len(place) == 2 or place[2] in WEIGHTS)
    ]
    nodes: list[Node] = []
    for values in itertools.product(*(space.holes[path].options_to_check() for path in varied)):
        try:
            node = space.bind(default | dict(zip(varied, values, strict=True))).nodes[target]
        except SpecError:  # options that contradict each other
            continue
        if node not in nodes:
            nodes.append(node)
    return name_candidates(nodes)


def _node(
    text: str,
    sources: Mapping[str, SourceFile],
    weights: Mapping[str, SourceFile],
    base: Path | None,
) -> Node:
    model, at, source = text.partition("@")
    if not at or not model or not source:
        raise SpecError(
            "--among",
            f"{show(text)} is not MODEL@SOURCE, such as resnet18@imagenet or resnet18@none",
        )
    node, place = Node(model=model, source=source), f"--among {text}"
    check_model(model, place)
    resolve_source(node, sources_for(model, sources, weights), base, place).check(place)
    return node


def build_candidate(
    candidate: Candidate,
    sources: Mapping[str, SourceFile],
    data: Dataset,
    *,
    base: Path | None = None,
    seed: int = 0,
) -> tuple[Network, bool]:
    """Return the candidate's network, and whether it has the source's own head and classes.

    Raises SpecError for images that the model cannot take, and WeightsError for unfit weights.
    """
    classes = count_source_classes(candidate, sources, data.train.shape[0], base)
    built = build_network(
        candidate.node,
        sources,
        classes=classes or len(data.classes),
        image_size=data.train.shape[0],
        mean=data.mean,
        std=data.std,
        seed=seed,
        base=base,
        where=candidate.name,
    )
    return built, classes is not None


def count_source_classes(
    candidate: Candidate,
    sources: Mapping[str, SourceFile],
    image_size: int,
    base: Path | None = None,
) -> int | None:
    """Return how many classes the head in the source's weights has, None without a head."""
    where = candidate.name
    source = resolve_source(candidate.node, sources, base, f"{where}.source")
    source.check(f"{where}.source")
    plan = build_on_meta(source.node, classes=2, image_size=image_size, where=where)
    state = read_weights(source, plan.size, where)
    if state is None:
        return None
    classes = plan.count_classes(translate_for(plan.body, state, plan.head, where))
    return classes if classes > 1 else None
