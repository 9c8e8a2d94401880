"""Runs a search: checks everything first, then trains graphs on Ray until the budget is spent."""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from rich.console import Console

from ktg.data import Dataset
from ktg.errors import DataError
from ktg.graph import SearchSpace
from ktg.local import cache_folder
from ktg.searching.affinity import Resolved, resolve
from ktg.searching.cluster import check_address, cluster
from ktg.searching.driver_lock import (
    driver_tags,
    hold_driver_lock,
    interrupt_on_sigterm,
    interrupt_when_asked,
)
from ktg.searching.missing_weights import Missing, supplied
from ktg.searching.preflight import check, vary_each_hole
from ktg.searching.progress import Progress, headline
from ktg.searching.ray_adapter import FailureCallback, Observer, QueueSearcher, scheduler
from ktg.searching.ray_run import checkpoints_of, drive, slots_of, warn
from ktg.searching.recorder import SearchRecorder, sizes, used_data
from ktg.searching.result import Result, result_of
from ktg.searching.resume import ResumedSearch
from ktg.searching.trials import SearchQueue, Trial
from ktg.tracking import Tracker, watched


class Observers:
    """Several observers as one."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers

    def started(self, entry: Trial) -> None:
        """Tell all of a new trial."""
        for observer in self.observers:
            observer.started(entry)

    def reported(self, entry: Trial) -> None:
        """Tell all of an epoch."""
        for observer in self.observers:
            observer.reported(entry)

    def closed(self, entry: Trial) -> None:
        """Tell all of an end."""
        for observer in self.observers:
            observer.closed(entry)


def search(
    space: SearchSpace,
    name: str,
    tracker: Tracker,
    *,
    missing_sources: Missing = "stop",
    console: Console | None = None,
    address: str | None = None,
    storage: Path | None = None,
    decoding: Callable[[int, int], None] | None = None,
    past: ResumedSearch | None = None,
    stop_asked: Callable[[str], bool] | None = None,
) -> Result:
    """Search a space and return what came of it.

    tracker: where the search is written; `ktg.tracking.MlflowTracker(name)` for MLflow.
    missing_sources: whether options that cannot be supplied with weights stop the search or are
    left out.
    address: a Ray cluster to join; default: Ray is started on this machine.
    storage: folder for Ray's own files, on a cluster one that all machines share.
    decoding: is told (done, all) while images are decoded for the first time.
    past: what this search had done before it was interrupted, to go on from there.
    stop_asked: is asked now and then, with the id of the search's run, whether to stop as after
    Ctrl-C.

    Raises SpecError, DataError or WeightsError before any training for anything that could not be
    trained, and UserError for a machine of a cluster that lacks ktg or a file.
    """
    if address is not None:
        check_address(address)
    console = console or Console(quiet=True)
    folder = (storage or cache_folder() / "ray").resolve()
    found = supplied(space, missing_sources)
    for what, why in found.changes.items():
        warn(console, f"{what} {why}")
    space = found.space
    dataset = check(space, decoding)
    resolved = resolved_affinity(space, dataset, console)
    space = resolved.space
    console.print(headline(space, name), highlight=False)
    if past and past.tags.get("data.fingerprint", dataset.fingerprint) != dataset.fingerprint:
        raise DataError(
            "the data have changed since the search began: its trials cannot be compared with new ones"
        )
    ledger = SearchQueue(space, past.entries, past.duplicates) if past else SearchQueue(space)
    with ExitStack() as stack:
        with console.status("Starting Ray"):
            ray = stack.enter_context(cluster(address))
        slots = slots_of(
            space.search, ray, address, vary_each_hole(space), folder, partial(warn, console)
        )
        if past:
            stack.enter_context(hold_driver_lock(checkpoints_of(folder, past.run)))
        data = used_data(space.bind(space.default()).data, dataset)
        started = time.monotonic()
        journal = SearchRecorder(
            tracker, ledger, name, sizes(dataset) | slots.tags() | driver_tags(), past, data
        )
        resolved.record(tracker, journal.parent)
        checkpoints = checkpoints_of(folder, journal.parent)
        if not past:
            stack.enter_context(hold_driver_lock(checkpoints))
        stack.enter_context(interrupt_on_sigterm())
        stack.enter_context(interrupt_when_asked(stop_asked and partial(stop_asked, journal.parent)))
        stack.enter_context(watched(tracker, journal.parent))
        with Progress(ledger, console, total=ledger.planned, slots=slots.at_once) as progress:
            observers = Observers(journal, progress)
            proposals = QueueSearcher(
                ledger, observers, cpus=slots.cpus, gpus=slots.gpus, checkpoints=checkpoints
            )
            deaths = FailureCallback(proposals, partial(warn, console))
            _tune(space, proposals, deaths, slots.at_once, folder, past.entries if past else ())
    interrupted = bool(ledger.in_state("running"))
    if not interrupted:
        shutil.rmtree(checkpoints, ignore_errors=True)
    result = result_of(ledger, name, time.monotonic() - started, interrupted)
    journal.end(result)
    return result


def resolved_affinity(space: SearchSpace, dataset: Dataset, console: Console) -> Resolved:
    """Return the space with its affinity holes resolved; print what was measured."""
    with console.status("Measuring affinity") as status:
        resolved = resolve(
            space, dataset, lambda what: status.update(f"Measuring affinity: {what}")
        )
    if resolved.holes:
        console.print(resolved.table(), highlight=False)
    for what, why in resolved.not_measured().items():
        warn(console, f"{what} was not measured, and is kept: {why}")
    return resolved


def _tune(
    space: SearchSpace,
    proposals: QueueSearcher,
    deaths: FailureCallback,
    at_once: int,
    folder: Path,
    past: Sequence[Trial],
) -> None:
    """Let Ray Tune drive the trials."""
    from ktg.searching.worker import Worker

    epochs = max(graph.train.epochs for graph in vary_each_hole(space))
    drive(Worker, proposals, deaths, at_once, folder, scheduler(space.search, epochs, past))
