"""Runs a search: checks everything first, then trains graphs on Ray until the budget is spent."""

import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from ktg.data.places import cache_folder
from ktg.searching.cluster import check_address, cluster
from ktg.searching.feasible import check, one_by_one
from ktg.searching.journal import Journal
from ktg.searching.ledger import Entry, Ledger
from ktg.searching.outcome import Result, result_of
from ktg.searching.progress import Progress, headline
from ktg.searching.raytune import Deaths, Observer, Proposals, check_resources, scheduler, slots
from ktg.space import SearchSpace
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
    decoding: Callable[[int, int], None] | None = None,
) -> Result:
    """Search a space and return what came of it.

    tracker: where the search is written; `ktg.tracking.MlflowTracker(name)` for MLflow.
    address: a Ray cluster to join; default: Ray is started on this machine.
    storage: folder for Ray's own files, on a cluster one that all machines share.
    decoding: is told (done, all) while images are decoded for the first time.

    Raises SpecError, DataError or WeightsError before any training for anything that could not be trained.
    """
    if address is not None:
        check_address(address)
    console = console or Console(quiet=True)
    started = time.monotonic()
    dataset = check(space, decoding)
    console.print(headline(space, name), highlight=False)
    ledger = Ledger(space)
    with ExitStack() as stack:
        with console.status("Starting Ray"):
            ray = stack.enter_context(cluster(address))
        total = ray.cluster_resources()
        gpus = space.search.gpus_per_trial
        gpus = gpus if gpus is not None else min(1.0, total.get("GPU", 0))
        cpus = space.search.cpus_per_trial
        if address is None:  # a cluster may grow
            check_resources(space.search, cpus=cpus, gpus=gpus, total=total)
        at_once = slots(space.search, cpus=cpus, gpus=gpus, total=total)
        journal = Journal(tracker, ledger, name, {"data.fingerprint": dataset.fingerprint})
        with Progress(ledger, console, total=ledger.planned, slots=at_once) as progress:
            proposals = Proposals(ledger, Observers(journal, progress), cpus=cpus, gpus=gpus)
            _tune(proposals, at_once, storage or cache_folder() / "ray")
    interrupted = bool(ledger.in_state("running"))
    result = result_of(ledger, name, time.monotonic() - started, interrupted)
    journal.end(result)
    return result


def _tune(proposals: Proposals, at_once: int, storage: Path) -> None:
    """Let Ray Tune drive the trials."""
    from ray import tune

    from ktg.searching.worker import Worker

    space = proposals.ledger.space
    epochs = max(graph.train.epochs for graph in one_by_one(space))
    resources = {"cpu": proposals.resources["cpus"], "gpu": proposals.resources["gpus"]}
    name = f"search-{time.time_ns()}"
    try:
        tune.run(
            Worker,
            name=name,
            search_alg=proposals,
            callbacks=[Deaths(proposals)],
            scheduler=scheduler(space.search, epochs),
            num_samples=proposals.ledger.planned,
            max_concurrent_trials=at_once,
            resources_per_trial=resources,
            storage_path=str(storage.resolve()),
            reuse_actors=True,
            raise_on_failed_trial=False,
            verbose=0,
        )
    finally:  # the tracker has all that matters, and Ray's files would heap up
        shutil.rmtree(storage / name, ignore_errors=True)
