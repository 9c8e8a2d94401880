"""Where the weights that leave the system come from: a search keeps none, so its graph is trained once more.

Training is deterministic (bit for bit on a CPU with as many threads), so what leaves is what was measured.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import torch

from ktg import __version__
from ktg.confirm import Confirmed, OnEpoch
from ktg.engine import Training
from ktg.exporting import about
from ktg.exporting.about import About, Accuracy
from ktg.exporting.weights import write_model
from ktg.sources.opening import open_data
from ktg.spec import Graph


def retrain(
    graph: Graph,
    *,
    final: bool = False,
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    decoding: Callable[[int, int], None] | None = None,
) -> tuple[Training, dict[str, Accuracy]]:
    """Train a graph with its own seed to the end; return the training and the validation accuracy of its nodes.

    final: train on the training and validation splits together, as `ktg train` does; no accuracy is measured then.
    """
    training = Training(graph, open_data(graph.data, progress=decoding), device=device, final=final)
    accuracies: dict[str, Accuracy] = {}
    for epoch in training:
        measured = {name: figures.val_accuracy for name, figures in epoch.nodes.items()}
        accuracies = {name: Accuracy(split="val", mean=value) for name, value in measured.items() if value is not None}
        if on_epoch is not None:
            on_epoch(graph.train.seed, epoch, graph.train.epochs)
    return training, accuracies


def write_confirmed(path: Path, graph: Graph, confirmed: Confirmed) -> None:
    """Write the target of the first seed of `ktg train`, with the test accuracy over all of them."""
    if confirmed.first is not None:
        accuracy = Accuracy(split="test", mean=confirmed.mean, std=confirmed.std, n=len(confirmed.runs))
        write_weights(path, graph, confirmed.first, {graph.target: accuracy})


def write_weights(
    path: Path, graph: Graph, training: Training, accuracies: dict[str, Accuracy], *, all_nodes: bool = False
) -> dict[str, Path]:
    """Write the target of a finished training of `graph`; return the files by node.

    all_nodes: write every node that was trained, the auxiliary ones as `model-n1.safetensors` and so on.
    """
    files = weights_files(path, graph, training.names.values() if all_nodes else [graph.target])
    for canonical, name in training.names.items():
        if name in files:
            said = describe(graph, training, name, accuracies.get(name))
            write_model(files[name], training.networks[canonical], said)
    return files


def weights_files(path: Path, graph: Graph, nodes: Iterable[str]) -> dict[str, Path]:
    """Return the file of each node's weights: `path` for the target."""
    return {name: path if name == graph.target else path.with_stem(f"{path.stem}-{name}") for name in nodes}


def describe(graph: Graph, training: Training, name: str, accuracy: Accuracy | None) -> About:
    """Return what the file of a node's weights shall say of itself."""
    dataset = training.dataset
    network = training.networks[next(canonical for canonical, own in training.names.items() if own == name)]
    merged = training.final and graph.data.per_class is None
    side, _, channels = dataset.train.shape
    given = about.Input(
        side=side,
        channels=channels,
        interpolation="bicubic",
        size=network.size,
        mean=_numbers(network.mean),
        std=_numbers(network.std),
    )
    came = about.Training(
        node=name,
        splits="train and val" if merged else "train",
        images=len(dataset.train) + (len(dataset.val) if merged else 0),
        fingerprint=dataset.fingerprint,
        date=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        ktg=__version__,
    )
    return About(classes=dataset.classes, input=given, training=came, graph=graph, accuracy=accuracy)


def _numbers(values: torch.Tensor) -> tuple[float, ...]:
    """Return float32 values as the shortest decimals that stand for them: 0.485 and not 0.48500001430511475."""
    return tuple(float(str(value)) for value in values.flatten().cpu().numpy())
