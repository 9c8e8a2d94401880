"""Builds the networks of a graph, and what its edges have of their own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ktg.data import Dataset
from ktg.graph import Graph
from ktg.graph.canonical import teachers
from ktg.models.maps import Layer
from ktg.models.network import Network, build
from ktg.training.adapters import Adapter, Pair, adapters, mapped_nodes
from ktg.training.node import Learner
from ktg.training.seeds import derive_seed
from ktg.training.teachers import solo_weights


@dataclass(frozen=True)
class Parts:
    """A node is in one of `learners` and `teachers`; in `layers` it is where some edge compares its maps."""

    learners: Mapping[str, Learner]
    teachers: Mapping[str, Network]
    layers: Mapping[str, list[Layer]]
    adapters: Mapping[Pair, Adapter]


def assemble(
    graph: Graph,
    dataset: Dataset,
    names: Mapping[str, str],
    device: torch.device,
    *,
    final: bool = False,
    cache: Path | None = None,
) -> Parts:
    """Return all parts of a canonical graph; teachers have the weights of their solo run (see `Training`).

    `names` are the user's, for messages.
    """
    networks = {
        name: _network(graph, name, dataset, f"nodes.{names[name]}", device) for name in graph.nodes
    }
    knowing = {}
    for name in teachers(graph):
        solo_weights(graph, name, networks[name], dataset, device, final=final, cache=cache)
        knowing[name] = networks[name].eval().requires_grad_(False)
    layers = mapped_nodes(graph, networks, names)
    own = adapters(graph, networks, layers, dataset, names, device)
    learners = {
        name: Learner(
            networks[name],
            node,
            graph.train,
            {s: each for (s, end), each in own.items() if end == name},
        )
        for name, node in graph.nodes.items()
        if name not in knowing
    }
    return Parts(learners, knowing, layers, own)


def _network(
    graph: Graph, name: str, dataset: Dataset, where: str, device: torch.device
) -> Network:
    node = graph.nodes[name]
    network = build(
        node,
        graph.sources_for(node.model),
        classes=len(dataset.classes),
        image_size=dataset.train.shape[0],
        mean=dataset.mean,
        std=dataset.std,
        seed=derive_seed(graph.train.seed, "weights", name),
        where=where,
    )
    network.to(memory_format=torch.channels_last)
    return network.to(device)
