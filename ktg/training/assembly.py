"""Builds the networks of a graph, its teachers trained, and the adapters of its edges."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from ktg.data import Dataset
from ktg.graph import Graph
from ktg.graph.canonical import teachers
from ktg.models.build import build_network
from ktg.models.maps import Layer
from ktg.models.network import Network
from ktg.training.adapters import Adapter, Pair, build_adapters, find_mapped_layers
from ktg.training.node import Learner
from ktg.training.randomness import derive_seed
from ktg.training.teachers import TrainAlone, compute_teacher_key, load_teacher


@dataclass(frozen=True)
class GraphParts:
    """What a graph is made of: every node is a learner or a teacher.

    `teacher_keys` depend on all that decides the weights of a teacher. `layers` has the nodes whose
    maps some edge compares, `adapters` the edges that have parts of their own.
    """

    learners: Mapping[str, Learner]
    teachers: Mapping[str, Network]
    teacher_keys: Mapping[str, str]
    layers: Mapping[str, list[Layer]]
    adapters: Mapping[Pair, Adapter]


def assemble(
    graph: Graph,
    dataset: Dataset,
    names: Mapping[str, str],
    device: torch.device,
    train_alone: TrainAlone,
    *,
    final: bool = False,
    cache: Path | None = None,
    metric: str = "accuracy",
) -> GraphParts:
    """Return all parts of a canonical graph, on the device.

    `names` are the user's names of the nodes, for messages. `train_alone` is called for each
    teacher that is not in the cache (see `ktg.training.teachers`).
    """
    networks = {
        name: _build(graph, name, dataset, f"nodes.{names[name]}", device) for name in graph.nodes
    }
    trained, keys = {}, {}
    for name in teachers(graph):
        network = networks[name]
        where = f"nodes.{names[name]}"
        load_teacher(
            network,
            graph,
            name,
            dataset,
            device,
            train_alone,
            final=final,
            cache=cache,
            metric=metric,
            where=where,
        )
        trained[name] = network.eval().requires_grad_(False)
        keys[name] = compute_teacher_key(graph, name, dataset, final=final, metric=metric)
    layers = find_mapped_layers(graph, networks, names)
    adapters = build_adapters(graph, networks, layers, dataset, names, device)
    learners = {}
    for name, node in graph.nodes.items():
        if name not in trained:
            own = {source: each for (source, end), each in adapters.items() if end == name}
            learners[name] = Learner(networks[name], node, graph.train, own)
    return GraphParts(learners, trained, keys, layers, adapters)


def _build(graph: Graph, name: str, dataset: Dataset, where: str, device: torch.device) -> Network:
    node = graph.nodes[name]
    network = build_network(
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
