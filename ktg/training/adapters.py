"""Builds what an edge has of its own: learned projections, a learned weight, or distances.

An adapter learns with the node its edge ends at, but is no part of it: what is deployed does not
have it.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ktg.data import Dataset, Images
from ktg.data.embeddings import measure_class_distances, read_class_distances
from ktg.data.split import pick_few_shot
from ktg.errors import DataError, SpecError
from ktg.graph import Edge, Graph, edge_path
from ktg.graph.vocabulary import EMBEDDING, FEATURES, LEARNED, MAP_LOSSES
from ktg.models.maps import Layer, find_last_maps
from ktg.models.network import Network, find_head, flatten_features, split_forward
from ktg.training.randomness import derive_seed, use_seed
from ktg.training.scoring import Split, compute_head_inputs

Pair = tuple[str, str]
IMAGES_PER_CLASS = 50
# A convolution between wide maps costs more than a small network around it: 1280 to 1280 channels,
# the last of every MobileNetV2, are 1.6 M weights at every place of the map.
WIDE, WAIST = 512, 128


class Adapter(nn.Module):
    """The parts of one edge.

    `projections` are the 1x1 convolutions from the target's maps to as many channels as the
    source's have, from the last map on (between wide maps two with a waist), or the linear layer
    from its features to the source's;
    `log_variance` is that of a learned weight; `distance` (C, C) holds the distances between the
    classes for the earth mover.
    """

    distance: Tensor | None

    def __init__(
        self, projections: list[nn.Module], *, learned: bool = False, distance: Tensor | None = None
    ) -> None:
        super().__init__()
        self.projections = nn.ModuleList(projections)
        self.log_variance = nn.Parameter(torch.zeros(())) if learned else None
        self.register_buffer("distance", distance)

    def weight(self) -> Tensor | None:
        """Return the present weight of the loss, a scalar; None where none is learned."""
        return None if self.log_variance is None else torch.exp(-self.log_variance.detach())


def find_mapped_layers(
    graph: Graph, networks: Mapping[str, Network], names: Mapping[str, str]
) -> dict[str, list[Layer]]:
    """Return, for each node whose maps some edge compares, the layers needed, the last first.

    Raises SpecError, with the node's place by the user's `names`, for a network without maps.
    """
    edges = {pair: edge for pair, edge in graph.edges.items() if edge.loss in MAP_LOSSES}
    ends = dict.fromkeys(name for pair in edges for name in pair)
    layers = {name: find_last_maps(networks[name], f"nodes.{names[name]}.model") for name in ends}
    needed = dict.fromkeys(ends, 0)
    for (source, target), edge in edges.items():
        count = len(pair_layers(edge, layers[source], layers[target]))
        needed |= {name: max(needed[name], count) for name in (source, target)}
    return {name: layers[name][:count] for name, count in needed.items()}


def pair_layers(edge: Edge, one: list[Layer], other: list[Layer]) -> list[tuple[Layer, Layer]]:
    """Return the pairs of layers whose maps the edge compares, the last first."""
    return list(zip(one, other, strict=False))[: edge.maps]


def build_adapters(
    graph: Graph,
    networks: Mapping[str, Network],
    layers: Mapping[str, list[Layer]],
    dataset: Dataset,
    names: Mapping[str, str],
    device: torch.device,
) -> dict[Pair, Adapter]:
    """Return the adapters of the edges that need one, on the device.

    `names` are the user's names of the nodes, for messages. Initial weights depend on the graph's
    seed alone. Raises SpecError for distances that cannot be read or measured, and for features of
    a network that has no head of its own.
    """
    adapters = {}
    for (source, target), edge in graph.edges.items():
        learned, distance = edge.weight == LEARNED, None
        sizes = _find_widths(edge, (source, target), networks, layers, names)
        # On the CPU, so that one seed gives the same weights whatever the device.
        seed = derive_seed(graph.train.seed, "projection", source, target)
        with use_seed(seed, torch.device("cpu")):
            kind = nn.Linear if edge.loss == EMBEDDING else _point_convolution
            projections = [kind(own, wanted) for own, wanted in sizes]
        if edge.loss == "emd":
            where = f"{edge_path(names[source], names[target])}.distance"
            size = graph.data.batch_size
            distance = _find_distance(edge, networks[source], dataset, where, device, size)
        if learned or projections or distance is not None:
            adapter = Adapter(projections, learned=learned, distance=distance)
            adapters[source, target] = adapter.to(device)
    return adapters


def _find_widths(
    edge: Edge,
    pair: Pair,
    networks: Mapping[str, Network],
    layers: Mapping[str, list[Layer]],
    names: Mapping[str, str],
) -> list[tuple[int, int]]:
    """Return the widths of target and source between which the edge has a projection, for each."""
    source, target = pair
    if edge.loss == "feature":
        pairs = pair_layers(edge, layers[target], layers[source])
        return [(own.shape[0], wanted.shape[0]) for own, wanted in pairs]
    if edge.loss == EMBEDDING:
        measured = [
            _measure_width(networks[name], f"nodes.{names[name]}.model")
            for name in (target, source)
        ]
        return [(measured[0], measured[1])]
    return []


def _point_convolution(own: int, wanted: int) -> nn.Module:
    """Return a 1x1 convolution; of rank `WAIST` where both sides are wider than `WIDE`."""
    if min(own, wanted) <= WIDE:
        return nn.Conv2d(own, wanted, 1)
    return nn.Sequential(nn.Conv2d(own, WAIST, 1, bias=False), nn.Conv2d(WAIST, wanted, 1))


def _measure_width(network: Network, where: str) -> int:
    """Return how many features the network's head is given; raise SpecError without such a head."""
    if find_head(network) is not None:
        training, device = network.training, network.mean.device
        images = torch.zeros(1, 3, network.size, network.size, device=device)
        inputs, _ = split_forward(network.eval(), images)
        network.train(training)
        if len(inputs) == 1:
            return flatten_features(inputs[0]).shape[1]
    raise SpecError(where, "has no head of its own, so that its features cannot be compared")


def _find_distance(
    edge: Edge, source: Network, dataset: Dataset, where: str, device: torch.device, batch_size: int
) -> Tensor:
    """Return the distances (C, C) between the classes, the largest 1, in float32."""
    if edge.distance == FEATURES:
        if find_head(source) is None:
            problem = "the source has no head of its own; give a file instead"
            raise SpecError(where, f"features cannot be used: {problem}")
        found = _measure_distance(source, dataset.train, device, batch_size)
    else:
        path, classes = Path(edge.distance), dataset.classes
        read = read_class_distances if path.suffix == ".csv" else measure_class_distances
        try:
            found = torch.from_numpy(read(path, classes, classes))
        except DataError as error:
            raise SpecError(where, str(error)) from error
    if not torch.allclose(found, found.T) or bool((found.diagonal().abs() > 1e-9).any()):
        rule = "distances must be equal both ways, and 0 from a class to itself"
        raise SpecError(where, f"{edge.distance}: {rule}")
    if not bool(found.amax() > 0):
        raise SpecError(where, f"{edge.distance}: all classes lie at the same place")
    return (found / found.amax()).float()


def _measure_distance(
    source: Network, images: Images, device: torch.device, batch_size: int
) -> Tensor:
    """Return the distances (C, C) between the class means of the source's initial features."""
    images = images.take(images.used_rows)
    few = images.take(pick_few_shot(images.labels, IMAGES_PER_CLASS, 0))
    inputs = compute_head_inputs(source, Split(few, device, batch_size), torch.float32)
    features, labels = inputs.flatten(1).double(), torch.from_numpy(few.labels)
    classes = sorted(set(labels.tolist()))
    means = torch.stack([features[labels == label].mean(dim=0) for label in classes])
    # The faster formula, by a matrix product, cancels the digits of points that lie close together.
    found = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
    return found.fill_diagonal_(0)
