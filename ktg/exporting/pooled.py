"""Trains the members of a search's greedy ensemble once more, and makes one model of them.

Each member is trained by its own graph, so that no graph trains the whole: that in the model's file
describes the networks alone, and its provenance says in POOLED which trials they are of.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import torch

from ktg.data import Dataset
from ktg.data.open import open_data
from ktg.errors import UserError
from ktg.exporting.distill import choose_ensemble
from ktg.exporting.held_out import calibrate, compute_held_out, describe_classes
from ktg.exporting.metadata import (
    HELPED,
    POOLED,
    Accuracy,
    ModelInput,
    ModelMetadata,
    TrainingFacts,
)
from ktg.exporting.retrain import describe_input, retrain
from ktg.graph import LABEL, Edge, Graph, Node, Scalar, SourceFile
from ktg.graph.canonical import live_nodes, with_fold
from ktg.models.network import Ensemble, Network
from ktg.searching.pool import PooledEnsemble
from ktg.searching.seeds import OnEpoch
from ktg.searching.stored_search import StoredSearch
from ktg.training import Training
from ktg.version import __version__
from ktg.wording import format_utc


@dataclass(frozen=True)
class PooledModel:
    """An ensemble whose members were trained, what it is, and the images that it was trained on."""

    network: Ensemble
    about: ModelMetadata
    dataset: Dataset


@dataclass
class _Members:
    """The networks that were trained so far, by the names of their nodes in the whole."""

    networks: dict[str, Network] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    inputs: dict[str, ModelInput] = field(default_factory=dict)
    shares: dict[str, Fraction] = field(default_factory=dict)
    sources: dict[str, SourceFile] = field(default_factory=dict)
    weights: dict[str, SourceFile] = field(default_factory=dict)
    helpers: set[str] = field(default_factory=set)  # MODEL@SOURCE of those that are not in it

    def add(self, graph: Graph, training: Training, times: int) -> None:
        """Add what the training of a graph is scored by: its target, or all of an ensemble."""
        scored = training.scored
        found = scored.networks if isinstance(scored, Ensemble) else {graph.target: scored}
        canonical = {own: name for name, own in training.names.items()}
        for own, network in found.items():
            name = f"m{len(self.networks) + 1}"
            self.networks[name] = network
            # What it began with, whose licence holds for it. How it was trained says its trial.
            self.nodes[name] = Node(
                model=graph.nodes[own].model,
                source=graph.nodes[own].source,
                model_args=training.graph.nodes[canonical[own]].model_args,
                input_size=graph.nodes[own].input_size,
            )
            self.inputs[name] = describe_input(network, training.dataset)
            self.shares[name] = Fraction(times, len(found))
        helpers = [graph.nodes[name] for name in live_nodes(graph) if name not in found]
        self.helpers |= {f"{node.model}@{node.source}" for node in helpers}
        self.sources |= graph.sources
        self.weights |= graph.weights

    @property
    def times(self) -> dict[str, int]:
        """How often each network counts, as whole numbers in the proportion of their shares.

        A trial of one network beside one of two that counts as often: 2, 1, 1.
        """
        whole = math.lcm(*(each.denominator for each in self.shares.values()))
        return {name: int(each * whole) for name, each in self.shares.items()}


def train_pool(
    search: StoredSearch,
    *,
    calibrated: bool = True,
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    decoding: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> PooledModel:
    """Train the greedy ensemble of a search, its members one by one, on the training split.

    calibrated: whether its probabilities are, by the validation images. Where trials had folds, the
    members are trained on the part of the images that chose them. Raises UserError, before any
    training, where the search has no ensemble of several trainings, and where its members or the
    search itself saw other images.
    """
    chosen, name = choose_ensemble(search), search.experiment.name
    if len(chosen.members) < 2:
        raise UserError(f"experiment {name!r}: {chosen.sentence}")
    search.check_same_images()
    folds, fold = search.space.search.folds, search.best.fold
    graphs = {one.trial: with_fold(one.graph, folds, fold) for one in search.pooled}
    own = [graphs[member.trial] for member in chosen.members]
    opened = [open_data(graph.data, progress=decoding) for graph in own]
    if len({one.labelled_fingerprint or one.fingerprint for one in opened}) > 1:
        problem = "its trainings do not see the same images at the same size (holes in `data`)"
        raise UserError(f"experiment {name!r} has no ensemble that is one model: {problem}")
    members, first = _Members(), None
    for place, (member, graph) in enumerate(zip(chosen.members, own, strict=True), start=1):
        say(f"member {place} of {len(own)}: {member.trial}")
        training, _ = retrain(graph, device=device, on_epoch=on_epoch, metric=search.metric)
        first = first or training
        members.add(graph, training, member.times)
    assert first is not None  # noqa: S101 - there are two members
    ensemble = Ensemble(members.networks, list(members.times.values())).eval()
    about = _describe(search, chosen, members, (own[0], first), ensemble, calibrated=calibrated)
    return PooledModel(ensemble, about, first.dataset)


def _describe(
    search: StoredSearch,
    chosen: PooledEnsemble,
    members: _Members,
    of_first: tuple[Graph, Training],
    ensemble: Ensemble,
    *,
    calibrated: bool,
) -> ModelMetadata:
    """Return the description of the whole; of_first: the graph of a member, and its training."""
    graph, first = of_first
    val, target = first.dataset.val, next(iter(members.nodes))
    logits = compute_held_out(first, ensemble)
    origin: dict[str, Scalar] = {
        "experiment": search.experiment.name,
        "search_run": search.run.id,
        POOLED: ", ".join(f"{one.trial} x{one.times}" for one in chosen.members),
        "data_fingerprint": first.dataset.fingerprint,
        "version_ktg": __version__,
    }
    if members.helpers:
        origin[HELPED] = ", ".join(sorted(members.helpers))
    if chosen.metric == "accuracy":
        origin |= {"val_accuracy": chosen.score}
        origin |= {"val_accuracy_of": "each half of them judging what the other half chose"}
    return ModelMetadata(
        classes=first.dataset.classes,
        input=members.inputs[target],
        training=TrainingFacts(
            node=target,
            splits="train",
            images=len(first.dataset.train),
            fingerprint=first.dataset.fingerprint,
            date=format_utc(time.time()),
            ktg=__version__,
        ),
        graph=dataclasses.replace(
            graph,
            nodes=members.nodes,
            edges={(LABEL, name): Edge(loss="ce") for name in members.nodes},
            sources=members.sources,
            weights=members.weights,
            provenance=origin,
            ensemble=True,
        ),
        accuracy=Accuracy(split="val", mean=float((logits.argmax(axis=1) == val.labels).mean())),
        members=members.inputs,
        times={name: often for name, often in members.times.items() if often > 1},
        held_out=describe_classes("val", logits, val.labels),
        calibration=calibrate(logits, val.labels, same=True) if calibrated else None,
    )
