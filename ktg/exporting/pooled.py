"""Trains the members of a search's greedy ensemble once more, and makes one model of them.

Each member is trained by its own graph, so that no graph trains the whole: that in the model's file
describes the networks alone, and its provenance says which trials they are of.
"""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import torch

from ktg.data import Dataset
from ktg.errors import UserError
from ktg.exporting.distill import choose_ensemble
from ktg.exporting.held_out import calibrate, compute_held_out, describe_classes
from ktg.exporting.metadata import Accuracy, ModelInput, ModelMetadata, TrainingFacts
from ktg.exporting.retrain import describe_input, retrain
from ktg.graph import LABEL, Edge, Node, Scalar
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

    def add(self, trial: str, training: Training, times: int) -> None:
        """Add what a training is scored by: its target, or all networks of an ensemble."""
        scored = training.scored
        found = scored.networks if isinstance(scored, Ensemble) else {"": scored}
        target = training.graph.target
        canonical = {own: name for name, own in training.names.items()} | {"": target}
        for own, network in found.items():
            name = f"{trial}-{own}" if own else trial
            node = training.graph.nodes[canonical[own]]
            self.networks[name] = network
            # Its weights are in the file; how it was trained is in the graph of its trial.
            self.nodes[name] = Node(
                model=node.model, model_args=node.model_args, input_size=node.input_size
            )
            self.inputs[name] = describe_input(network, training.dataset)
            self.shares[name] = Fraction(times, len(found))

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
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    decoding: Callable[[int, int], None] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> PooledModel:
    """Train the greedy ensemble of a search, its members one by one, on the training split.

    Raises UserError where the search has no ensemble of several trainings, and where the members do
    not take the same images.
    """
    chosen, name = choose_ensemble(search), search.experiment.name
    if len(chosen.members) < 2:
        raise UserError(f"experiment {name!r}: {chosen.sentence}")
    graphs = {one.trial: one.graph for one in search.pooled}
    members, first = _Members(), None
    for place, member in enumerate(chosen.members, start=1):
        say(f"member {place} of {len(chosen.members)}: {member.trial}")
        training, _ = retrain(
            graphs[member.trial],
            device=device,
            on_epoch=on_epoch,
            decoding=decoding,
            metric=search.metric,
        )
        first = first or training
        if training.dataset.fingerprint != first.dataset.fingerprint:
            problem = "its trainings do not share their images and splits (holes in `data`)"
            raise UserError(f"experiment {name!r} has no ensemble to export: {problem}")
        members.add(member.trial, training, member.times)
    assert first is not None  # noqa: S101 - there are two members
    ensemble = Ensemble(members.networks, list(members.times.values())).eval()
    return PooledModel(ensemble, _describe(search, chosen, members, first, ensemble), first.dataset)


def _describe(
    search: StoredSearch,
    chosen: PooledEnsemble,
    members: _Members,
    first: Training,
    ensemble: Ensemble,
) -> ModelMetadata:
    """Return the description of the whole; first: any training of a member."""
    val, target = first.dataset.val, next(iter(members.nodes))
    logits = compute_held_out(first, ensemble)
    origin: dict[str, Scalar] = {
        "experiment": search.experiment.name,
        "search": search.run.name,
        "pooled": ", ".join(f"{one.trial} x{one.times}" for one in chosen.members),
        "version_ktg": __version__,
    }
    if chosen.metric == "accuracy":  # on images that did not choose the members
        origin |= {"val_accuracy": chosen.score}
        origin |= {"val_accuracy_of": "each half judges what the other half chose"}
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
            search.best.graph,
            nodes=members.nodes,
            edges={(LABEL, name): Edge(loss="ce") for name in members.nodes},
            sources={},
            weights={},
            provenance=origin,
            ensemble=True,
        ),
        accuracy=Accuracy(split="val", mean=float((logits.argmax(axis=1) == val.labels).mean())),
        members=members.inputs,
        times={name: often for name, often in members.times.items() if often > 1},
        held_out=describe_classes("val", logits, val.labels),
        calibration=calibrate(logits, val.labels, same=True),
    )
