"""What an edge has of its own: projections of maps and a weight, which it learns, or the distances between classes."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ktg.data import Dataset, Images
from ktg.data.embeddings import class_distance, table_distance
from ktg.data.split import few_shot
from ktg.errors import DataError, SpecError
from ktg.graph import Edge, Graph, edge_path
from ktg.graph.spec import FEATURES, LEARNED, MAP_LOSSES
from ktg.models.head import head_of
from ktg.models.maps import Layer, last_maps
from ktg.models.network import Network
from ktg.training.evaluate import Split, head_inputs
from ktg.training.seeds import derive_seed, seeded

Pair = tuple[str, str]
IMAGES_PER_CLASS = 50


class Adapter(nn.Module):
    """Learns with the node that its edge ends at, and is no part of it: what is deployed does not have it.

    `projections` are the 1x1 convolutions from the target's maps to as many channels as the
    source's have, from the last map on; `log_variance` is that of a learned weight; `distance` (C,
    C) is what the earth mover walks.
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
        """Return the learned weight of the loss as it is now, None where none is learned."""
        return None if self.log_variance is None else torch.exp(-self.log_variance.detach())


def mapped_nodes(
    graph: Graph, networks: Mapping[str, Network], names: Mapping[str, str]
) -> dict[str, list[Layer]]:
    """Return, for each node whose maps some edge compares, the layers that are needed, the last first.

    Raises SpecError, with the node's place by the user's `names`, for a network without maps.
    """
    edges = {pair: edge for pair, edge in graph.edges.items() if edge.loss in MAP_LOSSES}
    ends = dict.fromkeys(name for pair in edges for name in pair)
    layers = {name: last_maps(networks[name], f"nodes.{names[name]}.model") for name in ends}
    needed = dict.fromkeys(ends, 0)
    for (source, target), edge in edges.items():
        count = len(compared(edge, layers[source], layers[target]))
        needed |= {name: max(needed[name], count) for name in (source, target)}
    return {name: layers[name][:count] for name, count in needed.items()}


def adapters(
    graph: Graph,
    networks: Mapping[str, Network],
    layers: Mapping[str, list[Layer]],
    dataset: Dataset,
    names: Mapping[str, str],
    device: torch.device,
) -> dict[Pair, Adapter]:
    """Return the adapters of the edges that need one, on the device; `names` are the user's, for messages.

    Weights depend on the graph's seed alone. Raises SpecError for distances that cannot be had.
    """
    found = {}
    for (source, target), edge in graph.edges.items():
        learned, distance, projections = edge.weight == LEARNED, None, list[nn.Module]()
        if edge.loss == "feature":
            with seeded(
                derive_seed(graph.train.seed, "projection", source, target), torch.device("cpu")
            ):
                projections = [
                    nn.Conv2d(own.shape[0], wanted.shape[0], 1)
                    for own, wanted in compared(edge, layers[target], layers[source])
                ]
        if edge.loss == "emd":
            where = f"{edge_path(names[source], names[target])}.distance"
            distance = _distance(
                edge, networks[source], dataset, where, device, graph.data.batch_size
            )
        if learned or projections or distance is not None:
            found[source, target] = Adapter(projections, learned=learned, distance=distance).to(
                device
            )
    return found


def compared(edge: Edge, one: list[Layer], other: list[Layer]) -> list[tuple[Layer, Layer]]:
    """Return the pairs of layers whose maps the edge compares, the last first."""
    return list(zip(one, other, strict=False))[: edge.maps]


def _distance(
    edge: Edge, source: Network, dataset: Dataset, where: str, device: torch.device, batch_size: int
) -> Tensor:
    """Return the distances (C, C) between the classes, the largest 1, in float32."""
    if edge.distance == FEATURES:
        if head_of(source) is None:
            raise SpecError(
                where,
                "features cannot be had: the source has no head of its own; give a file instead",
            )
        found = _between_means(source, dataset.train, device, batch_size)
    else:
        path, classes = Path(edge.distance), dataset.classes
        read = table_distance if path.suffix == ".csv" else class_distance
        try:
            found = torch.from_numpy(read(path, classes, classes))
        except DataError as error:
            raise SpecError(where, str(error)) from error
    if not torch.allclose(found, found.T) or bool((found.diagonal().abs() > 1e-9).any()):
        raise SpecError(
            where,
            f"{edge.distance}: distances must be equal both ways, and 0 from a class to itself",
        )
    if not bool(found.amax() > 0):
        raise SpecError(where, f"{edge.distance}: all classes lie at the same place")
    return (found / found.amax()).float()


def _between_means(
    source: Network, images: Images, device: torch.device, batch_size: int
) -> Tensor:
    """Return the distances (C, C) between the class means of what the source's head is given, as the source begins."""
    few = images.take(few_shot(images.labels, IMAGES_PER_CLASS, 0))
    features = (
        head_inputs(source, Split(few, device, batch_size), torch.float32).flatten(1).double()
    )
    labels = torch.from_numpy(few.labels)
    means = torch.stack(
        [features[labels == label].mean(dim=0) for label in sorted(set(labels.tolist()))]
    )
    found = torch.cdist(means, means, compute_mode="donot_use_mm_for_euclid_dist")
    return found.fill_diagonal_(0)
