"""Trains a graph of a search once more and writes its networks: a search stores no weights.

Training is deterministic (bit for bit on a CPU with as many threads), so the network that is
written is the one that was measured.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch

from ktg.data import Dataset
from ktg.data.open import open_data
from ktg.exporting.metadata import Accuracy, ModelInput, ModelMetadata, TrainingFacts
from ktg.exporting.model_file import write_model
from ktg.graph import Graph
from ktg.models.network import Ensemble, Network
from ktg.searching.seeds import OnEpoch, SeedResults
from ktg.training import Training
from ktg.version import __version__
from ktg.wording import format_utc


def retrain(
    graph: Graph,
    *,
    final: bool = False,
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    decoding: Callable[[int, int], None] | None = None,
) -> tuple[Training, dict[str, Accuracy]]:
    """Train a graph with its own seed; return the training and its nodes' validation accuracies.

    Where the ensemble is what is scored, its accuracy stands for the target's.

    final: train on the training and validation splits together, as `ktg train` does; no accuracy is
    measured then.
    """
    training = Training(graph, open_data(graph.data, progress=decoding), device=device, final=final)
    accuracies: dict[str, Accuracy] = {}
    for epoch in training:
        measured = {name: figures.val_accuracy for name, figures in epoch.nodes.items()}
        measured[graph.target] = epoch.val_accuracy  # of the ensemble, where that is what is scored
        accuracies = {
            name: Accuracy(split="val", mean=value)
            for name, value in measured.items()
            if value is not None
        }
        if on_epoch is not None:
            on_epoch(graph.train.seed, epoch, graph.train.epochs)
    return training, accuracies


def write_first_seed(path: Path, graph: Graph, confirmed: SeedResults) -> None:
    """Write the target of the first seed of `ktg train`, with the test accuracy over all seeds.

    Not that of the best seed: choosing by the test images would spoil what is measured on them.
    """
    if confirmed.first is not None:
        accuracy = Accuracy(
            split="test", mean=confirmed.mean, std=confirmed.std, n=len(confirmed.runs)
        )
        write_weights(path, graph, confirmed.first, {graph.target: accuracy})


def write_weights(
    path: Path,
    graph: Graph,
    training: Training,
    accuracies: dict[str, Accuracy],
    *,
    all_nodes: bool = False,
) -> dict[str, Path]:
    """Write the target, or the ensemble, of a finished training; return the files by node.

    all_nodes: write every node that was trained, the auxiliary ones as `model-n1.safetensors` and
    so on; not for an ensemble, whose one file has them all.
    """
    if isinstance(training.scored, Ensemble):
        accuracy = accuracies.get(graph.target)
        metadata = describe_model(graph, training, graph.target, accuracy)
        write_model(path, training.scored, metadata)
        return {graph.target: path}
    files = name_weights_files(
        path, graph, training.names.values() if all_nodes else [graph.target]
    )
    for canonical, name in training.names.items():
        if name in files:
            metadata = describe_model(graph, training, name, accuracies.get(name))
            write_model(files[name], training.networks[canonical], metadata)
    return files


def name_weights_files(path: Path, graph: Graph, nodes: Iterable[str]) -> dict[str, Path]:
    """Return the file of each node's weights: `path` for the target."""
    return {
        name: path if name == graph.target else path.with_stem(f"{path.stem}-{name}")
        for name in nodes
    }


def describe_model(
    graph: Graph, training: Training, name: str, accuracy: Accuracy | None
) -> ModelMetadata:
    """Return the description for the file of a node's weights, or of an ensemble's."""
    dataset, scored = training.dataset, training.scored
    merged = training.final and graph.data.per_class is None
    inputs = {
        own: _input(training.networks[canonical], dataset)
        for canonical, own in training.names.items()
    }
    # A reader of the file has no zoo to inherit arguments from, so they are written out.
    nodes = dict(graph.nodes)
    for canonical, own in training.names.items():
        args = training.graph.nodes[canonical].model_args
        nodes[own] = replace(nodes[own], model_args=args)
    facts = TrainingFacts(
        node=name,
        splits="train and val" if merged else "train",
        images=len(dataset.train) + (len(dataset.val) if merged else 0),
        fingerprint=dataset.fingerprint,
        date=format_utc(time.time()),
        ktg=__version__,
    )
    return ModelMetadata(
        classes=dataset.classes,
        input=inputs[name],
        training=facts,
        graph=replace(graph, nodes=nodes),
        accuracy=accuracy,
        members={own: inputs[own] for own in scored.names} if isinstance(scored, Ensemble) else {},
    )


def _input(network: Network, dataset: Dataset) -> ModelInput:
    side, _, channels = dataset.train.shape
    return ModelInput(
        side=side,
        channels=channels,
        interpolation="bicubic",
        size=network.size,
        mean=_numbers(network.mean),
        std=_numbers(network.std),
        bits=dataset.train.bits,
    )


def _numbers(values: torch.Tensor) -> tuple[float, ...]:
    """Return float32 values as their shortest decimals: 0.485, not 0.48500001430511475."""
    return tuple(float(str(value)) for value in values.flatten().cpu().numpy())
