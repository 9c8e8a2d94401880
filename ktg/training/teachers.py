"""Loads teachers: nodes that nothing in the graph teaches, so they must know the task beforehand.

A teacher has the weights of an independent training: the same model and source, trained alone on
the same data with the same schedule. It is trained once, stored under a name that depends on
everything that went into it, and shared by every trial.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ktg.data import Dataset
from ktg.errors import KtgError, SpecError
from ktg.graph import LABEL, Graph, Node
from ktg.graph.canonical import canonical_key, independent_graph
from ktg.models.network import Network
from ktg.models.resolve import resolve_source
from ktg.models.sources import ZooEntry
from ktg.training.tensor_cache import make_once
from ktg.version import __version__

# Trains a graph of one node on the device, `final` or not, and returns the weights of its body. It
# is handed in, because the training loop stands above the networks it builds.
TrainAlone = Callable[[Graph, Dataset, torch.device, bool], dict[str, Tensor]]


def load_teacher(
    network: Network,
    graph: Graph,
    node: str,
    dataset: Dataset,
    device: torch.device,
    train_alone: TrainAlone,
    *,
    final: bool = False,
    cache: Path | None = None,
    metric: str = "accuracy",
    where: str = "node",
) -> None:
    """Load the weights of the node's independent training into `network`, training it if need be.

    Other processes that want the same teacher wait for the one that trains it. Where that training
    has no epochs and the weights tell the classes of the data apart, they are left as they are.
    metric: by which the training keeps its best weights, if it does. where: the node's dotted place
    for messages, also for those of its training.
    """
    name = compute_teacher_key(graph, node, dataset, final=final, metric=metric)
    alone = independent_graph(graph, node)
    if alone.train.epochs == 0 and _is_final(network, graph, node, dataset, where):
        return
    named = _rename(alone, where.rpartition(".")[2])

    def make() -> dict[str, Tensor]:
        with _name_places(graph.nodes[node], where):
            return train_alone(named, dataset, device, final)

    state = make_once(name, make, cache)
    network.body.load_state_dict(state)


def compute_teacher_key(
    graph: Graph, node: str, dataset: Dataset, *, final: bool, metric: str = "accuracy"
) -> str:
    """Return the SHA-256 (64 hex digits) of all that decides the teacher's weights.

    That is the graph, the data, the initial weights, the split, and the version that trains it;
    `metric` where the best epoch by it is kept.
    """
    spec, alone = graph.nodes[node], independent_graph(graph, node)
    source = resolve_source(spec, graph.sources_for(spec.model))
    data = dataset.labelled_fingerprint or dataset.fingerprint
    parts: list[object] = [__version__, canonical_key(alone), data, source.content_hash(), final]
    if isinstance(source, ZooEntry):  # no graph says how its card wants images to be normalised
        parts.append(source.statistics())
    # Without validation images there is no best epoch. Accuracy is left out, so that teachers are
    # found which were made when there was no other choice.
    if alone.train.keep == "best" and not final and metric != "accuracy":
        parts.append(metric)
    if alone.train.epochs == 0:  # then the names decide whether the head stays or becomes a probe
        parts.append(source.class_names == dataset.classes)
    return hashlib.sha256(" ".join(map(str, parts)).encode()).hexdigest()


def _rename(alone: Graph, name: str) -> Graph:
    """Return a graph of one node in which it has this name."""
    (node,), (edge,) = alone.nodes.values(), alone.edges.values()
    return replace(alone, nodes={name: node}, edges={(LABEL, name): edge})


@contextmanager
def _name_places(spec: Node, where: str) -> Iterator[None]:
    """Raise errors of the training of a node by itself so that they name what the user wrote."""
    places = {
        f"{section}.{key}": f"{where}.{key}"
        for section, key in (("data", "batch_size"), ("train", "lr"), ("train", "clip_norm"))
        if getattr(spec, key) is not None
    }

    def name(text: str) -> str:
        for place, own in places.items():
            text = text.replace(place, own)
        return text

    try:
        yield
    except SpecError as error:
        raise type(error)(name(error.path), name(error.problem), error.file) from error.__cause__
    except KtgError as error:
        text = f"{where}, trained by itself: {name(str(error))}"
        raise type(error)(text) from error.__cause__


def _is_final(network: Network, graph: Graph, node: str, dataset: Dataset, where: str) -> bool:
    """Return whether a teacher has its last weights already; False where it begins as a probe.

    Raises SpecError for weights whose head tells other classes apart.
    """
    spec = graph.nodes[node]
    named = resolve_source(spec, graph.sources_for(spec.model)).class_names
    if network.head_came and (named == dataset.classes or (spec.head == "new" and named is None)):
        return True
    if spec.head == "probe":
        return False
    has = f"a head for {len(named)} other classes" if named else "no head for these classes"
    problem = f"0 lets the weights teach as they are, but {spec.source} has {has}"
    remedy = "allowed: 1 or more epochs, or `head: probe`, a regression on their features"
    raise SpecError(f"{where}.epochs", f"{problem}; {remedy}")
