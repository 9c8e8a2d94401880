"""Loads teachers: nodes that nothing in the graph teaches, so they must know the task beforehand.

A teacher has the weights of an independent training: the same model and source, trained alone on
the same data with the same schedule. It is trained once, stored under a name that depends on
everything that went into it, and shared by every trial.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ktg.data import Dataset
from ktg.graph import Graph
from ktg.graph.canonical import canonical_key, independent_graph
from ktg.models.network import Network
from ktg.models.sources import resolve_source
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
) -> None:
    """Load the weights of the node's independent training into `network`, training it if need be.

    Other processes that want the same teacher wait for the one that trains it.
    """
    name = compute_teacher_key(graph, node, dataset, final=final)
    alone = independent_graph(graph, node)
    state = make_once(name, lambda: train_alone(alone, dataset, device, final), cache)
    network.body.load_state_dict(state)


def compute_teacher_key(graph: Graph, node: str, dataset: Dataset, *, final: bool) -> str:
    """Return the SHA-256 (64 hex digits) of all that decides the teacher's weights.

    That is the graph, the data, the initial weights, the split, and the version that trains it.
    """
    spec = graph.nodes[node]
    weights = resolve_source(spec, graph.sources_for(spec.model)).content_hash()
    alone = canonical_key(independent_graph(graph, node))
    text = f"{__version__} {alone} {dataset.fingerprint} {weights} {final}"
    return hashlib.sha256(text.encode()).hexdigest()
