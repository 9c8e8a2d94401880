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
from ktg.exporting.class_means import (
    compute_class_means,
    compute_unit_features,
    has_means,
    measure_closeness,
    pack_means,
)
from ktg.exporting.held_out import calibrate, compute_held_out, describe_classes, has_held_out
from ktg.exporting.metadata import (
    Accuracy,
    Calibration,
    HeldOut,
    ModelInput,
    ModelMetadata,
    TrainingFacts,
)
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
    metric: str = "accuracy",
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    decoding: Callable[[int, int], None] | None = None,
) -> tuple[Training, dict[str, Accuracy]]:
    """Train a graph with its own seed; return the training and its nodes' validation accuracies.

    Where the ensemble is what is scored, its accuracy stands for the target's.

    final: train on the training and validation splits together, as `ktg train` does; no accuracy is
    measured then. metric: that of the search, by which `train.keep: best` chooses.
    """
    dataset = open_data(graph.data, progress=decoding)
    training = Training(graph, dataset, device=device, final=final, metric=metric)
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


def write_first_seed(
    path: Path, graph: Graph, confirmed: SeedResults, *, calibrated: bool = True
) -> None:
    """Write the target of the first seed of `ktg train`, with the test accuracy over all seeds.

    Not that of the best seed: choosing by the test images would spoil what is measured on them.
    calibrated: train the graph once more to calibrate it (see `train_to_calibrate`). The folder of
    the file is made after that, where it is not there.
    """
    if confirmed.first is not None:
        by = train_to_calibrate(graph, confirmed.first) if calibrated else None
        tested = confirmed.tested and describe_classes("test", *confirmed.tested)
        accuracy = Accuracy(
            split="test", mean=confirmed.mean, std=confirmed.std, n=len(confirmed.runs)
        )
        path.parent.mkdir(exist_ok=True)
        write_weights(path, graph, confirmed.first, {graph.target: accuracy}, by=by, tested=tested)


def write_weights(
    path: Path,
    graph: Graph,
    training: Training,
    accuracies: dict[str, Accuracy],
    *,
    all_nodes: bool = False,
    by: Training | None = None,
    tested: HeldOut | None = None,
) -> dict[str, Path]:
    """Write the target, or the ensemble, of a finished training; return the files by node.

    by: the training that they are calibrated by. tested: how what is scored does on the test split.
    all_nodes: write every node that was trained, the auxiliary ones as `model-n1.safetensors` and
    so on; not for an ensemble, whose one file has them all.
    """
    if isinstance(training.scored, Ensemble):
        accuracy = accuracies.get(graph.target)
        metadata = describe_model(graph, training, graph.target, accuracy, by, tested)
        write_model(path, training.scored, metadata)
        return {graph.target: path}
    files = name_weights_files(
        path, graph, training.names.values() if all_nodes else [graph.target]
    )
    for canonical, name in training.names.items():
        if name in files:
            held_out = tested if name == graph.target else None
            accuracy = accuracies.get(name)
            metadata = describe_model(graph, training, name, accuracy, by, held_out)
            write_model(files[name], training.networks[canonical], metadata)
    return files


def name_weights_files(path: Path, graph: Graph, nodes: Iterable[str]) -> dict[str, Path]:
    """Return the file of each node's weights: `path` for the target."""
    return {
        name: path if name == graph.target else path.with_stem(f"{path.stem}-{name}")
        for name in nodes
    }


def train_to_calibrate(graph: Graph, training: Training) -> Training:
    """Return the training that the networks of another one are calibrated by, trained to its end.

    It is the same one where that left the validation split out. A network that was trained on all
    images has none to be calibrated by, so the graph is trained once more without the validation
    split, and the temperature of that network stands for both.
    """
    if has_held_out(training):
        return training
    again = Training(graph, training.dataset, device=training.device, metric=training.metric)
    for _ in again:
        pass
    return again


def describe_model(
    graph: Graph,
    training: Training,
    name: str,
    accuracy: Accuracy | None,
    by: Training | None = None,
    held_out: HeldOut | None = None,
) -> ModelMetadata:
    """Return the description for the file of a node's weights, or of an ensemble's.

    by: the training that it is calibrated by; None leaves its probabilities as they are.
    held_out: how it does on the test split, where that was read.
    """
    dataset, scored = training.dataset, training.scored
    merged = not has_held_out(training)
    inputs = {
        own: describe_input(training.networks[canonical], dataset)
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
        held_out=held_out or _describe_held_out(training, name),
        calibration=None if by is None else _calibrate(by, name, training),
    )


def _describe_held_out(training: Training, name: str) -> HeldOut | None:
    """Return how a node's network does on the validation split, None where it was trained on it."""
    if not has_held_out(training):
        return None
    logits = compute_held_out(training, _network_of(training, name))
    return describe_classes("val", logits, training.dataset.val.labels)


def _calibrate(by: Training, name: str, training: Training) -> Calibration | None:
    """Return the calibration of a node of one training by the answers of another, or the same."""
    network, val, closeness = _network_of(by, name), by.dataset.val, None
    logits = compute_held_out(by, network)
    if has_means(network, len(by.dataset.classes)):
        assert isinstance(network, Network)  # noqa: S101 - an ensemble has no means
        features = compute_unit_features(by, network, val)
        closeness = measure_closeness(features, compute_class_means(by, network))
    found = calibrate(logits, val.labels, same=by is training, closeness=closeness)
    own = _network_of(training, name)
    if found is None or closeness is None or isinstance(own, Ensemble):
        return found
    return replace(found, class_means=pack_means(compute_class_means(training, own)))


def _network_of(training: Training, name: str) -> Network | Ensemble:
    """Return the network of a node, by the user's name, or the ensemble where that is scored."""
    if isinstance(training.scored, Ensemble):
        return training.scored
    return next(training.networks[canon] for canon, own in training.names.items() if own == name)


def describe_input(network: Network, dataset: Dataset) -> ModelInput:
    """Return how an image of a dataset becomes what a network sees."""
    side, _, channels = dataset.train.shape
    return ModelInput(
        side=side,
        channels=channels,
        interpolation="bicubic",
        size=network.size,
        mean=_numbers(network.mean),
        std=_numbers(network.std),
        bits=dataset.train.geometry.bits,
        resize="stretch" if dataset.train.geometry.stretch else "crop",
    )


def _numbers(values: torch.Tensor) -> tuple[float, ...]:
    """Return float32 values as their shortest decimals: 0.485, not 0.48500001430511475."""
    return tuple(float(str(value)) for value in values.flatten().cpu().numpy())
