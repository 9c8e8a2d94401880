"""Trains a graph of one node, over interruptions, and adds its network to the zoo."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from ktg.data import Dataset
from ktg.data.open import open_data
from ktg.errors import KtgError, UserError
from ktg.graph import Graph
from ktg.graph.canonical import canonical_key
from ktg.local import cache_folder
from ktg.models.names import check_model, shorten_architecture
from ktg.models.resolve import resolve_source
from ktg.pretraining.card import describe
from ktg.pretraining.recipe import check_one_node
from ktg.pretraining.resumable import Keep, OnEpoch, ResumableTraining, explain_write_errors
from ktg.tracking import Tracker
from ktg.training import Training
from ktg.zoo import Card, Zoo, default_zoo
from ktg.zoo.card import check_card, check_name
from ktg.zoo.folder import MissingEntryError, write_card
from ktg.zoo.staging import open_staging


class BusyError(KtgError):
    """Another process is training the same graph."""


@dataclass(frozen=True)
class Pretrained:
    """An entry of the zoo, and whether it was trained now or had been there."""

    card: Card
    new: bool


def pretrain(
    graph: Graph,
    name: str,
    tracker: Tracker,
    *,
    zoo: Zoo | None = None,
    keep: Keep = "last",
    replace: bool = False,
    anew: bool = False,
    wait: bool = True,
    device: torch.device | str | None = None,
    on_epoch: OnEpoch | None = None,
    decoding: Callable[[int, int], None] | None = None,
) -> Pretrained:
    """Train the one node of `graph` and add its network to the zoo as the source `name`.

    An entry that was made of the same graph, data and initial weights is
    returned as it is. A training that was interrupted goes on after its last whole epoch and gives
    the very weights it would have given; `anew` forgets it.

    zoo: default: the user's.
    keep: the weights after the last epoch, or after the best by validation.
    replace: whether an entry of that name that was made otherwise may be replaced; else UserError
    is raised.
    wait: for another process that trains the same; else BusyError is raised.
    on_epoch: called with each epoch and their number; decoding: with (done, all) while images are
    decoded.
    """
    check(graph, name)
    zoo = zoo or default_zoo()
    dataset = open_data(graph.data, progress=decoding)
    identity = identify(graph, dataset, keep)
    home = cache_folder() / "pretraining" / identity
    with _lock_training(home, wait):
        there = find_existing(zoo, name, graph, identity, replace=replace)
        if there is not None:
            return Pretrained(there, new=False)
        if anew:
            shutil.rmtree(home, ignore_errors=True)
        training = Training(graph, dataset, device=device)
        draft = describe(
            graph, name, training, dataset, identity=identity, keep=keep, epoch=0, accuracy=0.0
        )
        # What the zoo cannot take fails here, and not after hours of training.
        with zoo.open_for_writing(), open_staging(zoo.folder) as place:
            write_card(check_card(draft), place)
            home.mkdir(exist_ok=True)
        resumable = ResumableTraining(training, home, keep, tracker)
        with resumable.track(graph, name):
            resumable.train(on_epoch)
            card = describe(
                graph, name, training, dataset, identity=identity, **resumable.kept_facts
            )
            card = zoo.add(card, resumable.write_weights(), replace=replace)
        shutil.rmtree(home, ignore_errors=True)
        return Pretrained(card, new=True)


def check(graph: Graph, name: str) -> None:
    """Raise SpecError for several nodes, unknown models or sources, and impossible names."""
    check_name(name)
    check_one_node(graph)
    node, place = graph.nodes[graph.target], f"nodes.{graph.target}"
    check_model(node.model, f"{place}.model")
    source = resolve_source(node, graph.sources_for(node.model), path=f"{place}.source")
    source.check(f"{place}.source")


def identify(graph: Graph, dataset: Dataset, keep: Keep) -> str:
    """Return a hash (64 hex digits) of all that decides the weights but the version of ktg."""
    node = graph.nodes[graph.target]
    weights = resolve_source(node, graph.sources_for(node.model)).content_hash()
    return hashlib.sha256(
        f"{canonical_key(graph)} {dataset.fingerprint} {weights} {keep}".encode()
    ).hexdigest()


def find_existing(
    zoo: Zoo, name: str, graph: Graph, identity: str, *, replace: bool
) -> Card | None:
    """Return the entry if it was made of the same; None if there is none or it may be replaced."""
    model = shorten_architecture(graph.nodes[graph.target].model)
    try:
        card = zoo.get(name, model)
    except MissingEntryError:
        return None
    if card.provenance.get("identity") == identity:
        return card
    if replace:
        return None
    raise UserError(
        f"{zoo.card_file(card.key)}: the zoo has a source {name!r} for {model} already, "
        "made otherwise; give another --name, or --replace it"
    )


@contextmanager
def _lock_training(home: Path, wait: bool) -> Iterator[None]:
    """Hold the lock of a training."""
    with explain_write_errors(home.parent):
        home.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home.with_suffix(".lock"), timeout=-1 if wait else 0)
        try:
            held = lock.acquire()
        except Timeout as error:
            raise BusyError(f"{home}: another process is training this") from error
    with held:
        yield
