"""Where the weights that leave the system come from: a search keeps none, so its graph is trained once more.

Training is deterministic (bit for bit on a CPU with as many threads), so what leaves is what was
measured.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from ktg.data import Dataset
from ktg.data.open import open_data
from ktg.exporting import metadata as about
from ktg.exporting.metadata import About, Accuracy
from ktg.exporting.weights import write_model
from ktg.graph import Graph
from ktg.models.network import Ensemble, Network
from ktg.searching.seeds import SeedResults, OnEpoch
from ktg.training import Training
from ktg.version import __version__


def retrain(
    graph: Graph,
    *,
    final: bool = False,
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    decoding: Callable[[int, int], None] | None = None,
) -> tuple[Training, dict[str, Accuracy]]:
    """Train a graph with its own seed to the end; return the training and the validation accuracy of its nodes.

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


def write_confirmed(path: Path, graph: Graph, confirmed: SeedResults) -> None:
    """Write the target of the first seed of `ktg train`, with the test accuracy over all of them."""
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
    """Write the target of a finished training of `graph`, or its ensemble; return the files by node.

    all_nodes: write every node that was trained, the auxiliary ones as `model-n1.safetensors` and
    so on; not for an ensemble, whose one file has them all.
    """
    if isinstance(training.scored, Ensemble):
        write_model(
            path,
            training.scored,
            describe(graph, training, graph.target, accuracies.get(graph.target)),
        )
        return {graph.target: path}
    files = weights_files(path, graph, training.names.values() if all_nodes else [graph.target])
    for canonical, name in training.names.items():
        if name in files:
            said = describe(graph, training, name, accuracies.get(name))
            write_model(files[name], training.networks[canonical], said)
    return files


def weights_files(path: Path, graph: Graph, nodes: Iterable[str]) -> dict[str, Path]:
    """Return the file of each node's weights: `path` for the target."""
    return {
        name: path if name == graph.target else path.with_stem(f"{path.stem}-{name}")
        for name in nodes
    }


def describe(graph: Graph, training: Training, name: str, accuracy: Accuracy | None) -> About:
    """Return what the file of a node's weights, or of an ensemble's, shall say of itself."""
    dataset, scored = training.dataset, training.scored
    merged = training.final and graph.data.per_class is None
    inputs = {
        own: _input(training.networks[canonical], dataset)
        for canonical, own in training.names.items()
    }
    # A reader of the file has no zoo to inherit arguments from, so they are written out.
    nodes = {
        **graph.nodes,
        **{
            own: replace(graph.nodes[own], model_args=training.graph.nodes[canonical].model_args)
            for canonical, own in training.names.items()
        },
    }
    came = about.Training(
        node=name,
        splits="train and val" if merged else "train",
        images=len(dataset.train) + (len(dataset.val) if merged else 0),
        fingerprint=dataset.fingerprint,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        ktg=__version__,
    )
    return About(
        classes=dataset.classes,
        input=inputs[name],
        training=came,
        graph=replace(graph, nodes=nodes),
        accuracy=accuracy,
        members={own: inputs[own] for own in scored.names} if isinstance(scored, Ensemble) else {},
    )


def _input(network: Network, dataset: Dataset) -> about.Input:
    side, _, channels = dataset.train.shape
    return about.Input(
        side=side,
        channels=channels,
        interpolation="bicubic",
        size=network.size,
        mean=_numbers(network.mean),
        std=_numbers(network.std),
    )


def _numbers(values: torch.Tensor) -> tuple[float, ...]:
    """Return float32 values as the shortest decimals that stand for them: 0.485 and not 0.48500001430511475."""
    return tuple(float(str(value)) for value in values.flatten().cpu().numpy())
