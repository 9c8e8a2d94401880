"""Writes the zoo's card of a pretrained network."""

import json
from pathlib import Path

import timm
import torch

from ktg.data import Dataset
from ktg.data.open import list_formula_settings
from ktg.graph import Graph, Scalar, dump
from ktg.models.names import shorten_architecture
from ktg.pretraining.resumable import Keep
from ktg.training import Training
from ktg.version import __version__
from ktg.zoo import Card


def describe(
    graph: Graph,
    name: str,
    training: Training,
    dataset: Dataset,
    *,
    identity: str,
    keep: Keep,
    epoch: int,
    accuracy: float,
) -> Card:
    """Return the card of the network that `training` of `graph` has made, for the entry `name`.

    identity: hash of all that decides the weights; keep, epoch, accuracy: which are kept, and how
    good they are. The provenance holds the graph itself, as one line of JSON, which is also YAML
    that `ktg train` reads.
    """
    node, network = graph.nodes[graph.target], training.target
    provenance: dict[str, Scalar] = {
        "identity": identity,
        "graph": json.dumps(dump(graph)),
        "data_fingerprint": dataset.fingerprint,
        "keep": keep,
        "kept_epoch": epoch,
        "source": node.source,
        "version_ktg": __version__,
        "version_torch": str(torch.__version__),
        "version_timm": timm.__version__,
    }
    return Card(
        name=name,
        model=shorten_architecture(node.model),
        classes=dataset.classes,
        data=_describe_data(graph, dataset),
        mean=_round(network.mean),
        std=_round(network.std),
        input_size=network.size,
        model_args=training.graph.nodes["n0"].model_args,
        images=len(dataset.train),
        epochs=graph.train.epochs,
        accuracy=accuracy,
        origin=f"pretrained by ktg {__version__}",
        provenance=provenance | list_formula_settings(graph.data),
    )


def _round(values: torch.Tensor) -> tuple[float, ...]:
    """Return numbers as they were meant before they became float32."""
    return tuple(round(value, 6) for value in values.flatten().tolist())


def _describe_data(graph: Graph, dataset: Dataset) -> str:
    """Return a description of the training data for a reader."""
    called = graph.data.name or Path(graph.data.path or "").name
    side = dataset.train.shape[0]
    images = f"{len(dataset.train)} training images of {side} x {side} pixels"
    return f"{called}: {len(dataset.classes)} classes, {images}"
