"""Runs a search: checks everything first, then trains graphs on Ray until the budget is spent."""

import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from ktg.data import Dataset, open_data
from ktg.data.places import cache_folder
from ktg.engine.training import check_batch
from ktg.models.source import check_weights
from ktg.search.cluster import cluster
from ktg.search.journal import Journal
from ktg.search.ledger import Entry, Ledger
from ktg.search.outcome import Result, result_of
from ktg.search.progress import Progress
from ktg.search.raytune import Deaths, Observer, Proposals, scheduler, slots
from ktg.space import SearchSpace
from ktg.spec import Graph
from ktg.tracking import Tracker


class Observers:
    """Several observers as one."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def started(self, entry: Entry) -> None:
        """Tell all of a new trial."""
        for observer in self.observers:
            observer.started(entry)

    def reported(self, entry: Entry) -> None:
        """Tell all of an epoch."""
        for observer in self.observers:
            observer.reported(entry)

    def closed(self, entry: Entry) -> None:
        """Tell all of an end."""
        for observer in self.observers:
            observer.closed(entry)


def search(
    space: SearchSpace,
    name: str,
    tracker: Tracker,
    *,
    console: Console | None = None,
    address: str | None = None,
    storage: Path | None = None,
) -> Result:
    """Search a space and return what came of it.

    tracker: where the search is written; `ktg.tracking.MlflowTracker(name)` for MLflow.
    address: a Ray cluster to join; default: Ray is started on this machine.
    storage: folder for Ray's own files, on a cluster one that all machines share.

    Raises SpecError, DataError or WeightsError before any training for anything that could not be trained.
    """
    console = console or Console(quiet=True)
    started = time.monotonic()
    dataset = check(space)
    ledger = Ledger(space)
    with cluster(address) as ray:
        total = ray.cluster_resources()
        gpus = space.search.gpus_per_trial
        gpus = gpus if gpus is not None else min(1.0, total.get("GPU", 0))
        cpus = space.search.cpus_per_trial
        at_once = slots(space.search, cpus=cpus, gpus=gpus, total=total)
        journal = Journal(tracker, ledger, name, {"data.fingerprint": dataset.fingerprint})
        trials = space.search.trials + (3 if space.search.baselines else 0)
        with Progress(ledger, console, total=trials, slots=at_once) as progress:
            proposals = Proposals(ledger, Observers(journal, progress), cpus=cpus, gpus=gpus)
            _tune(proposals, trials, at_once, storage or cache_folder() / "ray")
    interrupted = bool(ledger.in_state("running"))
    result = result_of(ledger, name, time.monotonic() - started, interrupted)
    journal.end(result)
    return result


def check(space: SearchSpace) -> Dataset:
    """Open the data and check all weights and batch sizes, so that nothing of it can fail in a later trial."""
    default = space.bind(space.default())
    dataset = open_data(default.data)
    seen: set[tuple[object, ...]] = set()
    for graph in one_by_one(space):
        check_batch(graph, len(dataset.train))
        for name, node in graph.nodes.items():
            network = (node.model, node.source, tuple(node.model_args.items()), node.input_size)
            if network not in seen:
                seen.add(network)
                side = dataset.train.shape[0]
                check_weights(node, graph.sources, classes=len(dataset.classes), image_size=side, where=f"nodes.{name}")
    return dataset


def one_by_one(space: SearchSpace) -> Iterator[Graph]:
    """Yield the default graph with each option of each hole in turn, and each pair of model and source of a node."""
    default = space.default()
    for path, hole in space.holes.items():
        for value in hole.options_to_check():
            yield space.bind(default | {path: value})
    for node in space.template["nodes"]:
        fields = [f"nodes.{node}.{key}" for key in ("model", "source") if f"nodes.{node}.{key}" in space.holes]
        for values in itertools.product(*(space.holes[path].options_to_check() for path in fields)):
            yield space.bind(default | dict(zip(fields, values, strict=True)))


def _tune(proposals: Proposals, trials: int, at_once: int, storage: Path) -> None:
    """Let Ray Tune drive the trials."""
    from ray import tune

    from ktg.search.worker import Worker

    settings = proposals.ledger.space
    epochs = settings.bind(settings.default()).train.epochs
    resources = {"cpu": proposals.resources["cpus"], "gpu": proposals.resources["gpus"]}
    tune.run(
        Worker,
        name=f"search-{time.time_ns()}",
        search_alg=proposals,
        callbacks=[Deaths(proposals)],
        scheduler=scheduler(settings.search, epochs),
        num_samples=trials,
        max_concurrent_trials=at_once,
        resources_per_trial=resources,
        storage_path=str(storage.resolve()),
        reuse_actors=True,
        raise_on_failed_trial=False,
        verbose=0,
    )
