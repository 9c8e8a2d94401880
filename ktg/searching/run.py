"""Searches a space: checks everything first, then trains graphs on Ray until the budget is spent.

The life of a trial:

1. `search_queue.py` proposes a graph: first the baselines (`baselines.py`), then the points that
   Optuna chooses (`sampler.py`) of the whole space and of the target by itself (`arms.py`), at last
   new seeds of the best graphs (`race.py`). A graph that has a trial already is not trained again.
   `budget.py` says what still fits into the time.
2. `ray_adapter.py` gives it to Ray, which has started workers in the slots of `slots.py`, on this
   machine or on a cluster (`cluster.py`, `cluster_check.py`).
3. `worker.py` trains it, one epoch after the other, and saves its state now and then. When its
   process dies, another worker continues from there (`ray_run.py`).
4. After each epoch `asha.py` decides whether the trial is stopped. `trials.py` records the epoch,
   `recorder.py` writes it into the tracking store, and `progress.py` shows it.
5. When a trial ends, the sampler gets its score (`score.py`), its run in the store is closed, and
   the worker takes the next graph.

Before the first trial `missing_weights.py` removes options without weights, `preflight.py` checks
all others, and `affinity.py` narrows the sources by measuring them. At the end `result.py`
summarizes. An interrupted search goes on from what `resume.py` reads in the store.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.text import Text

from ktg.data import Dataset
from ktg.errors import DataError
from ktg.graph import SearchSpace
from ktg.local import cache_folder
from ktg.searching.affinity import ResolvedSpace, resolve_affinity
from ktg.searching.arms import find_alone_space
from ktg.searching.asha import plan_brackets
from ktg.searching.budget import Reserve
from ktg.searching.callback import EndedTrial, TrialCallback
from ktg.searching.cluster import check_address, start_ray
from ktg.searching.driver_lock import driver_tags
from ktg.searching.expectation import JUDGES, count_judges
from ktg.searching.last_words import leave_last_words, resume_command
from ktg.searching.missing_weights import Missing, remove_unavailable
from ktg.searching.preflight import check_space, vary_each_hole
from ktg.searching.prior import Prior, gather_prior, list_arm_spaces
from ktg.searching.progress import format_headline, print_warning
from ktg.searching.ray_run import drive_queue
from ktg.searching.recorder import SearchRecorder, describe_data, size_tags
from ktg.searching.result import Result, summarize_search
from ktg.searching.resume import SPENT, ResumedSearch
from ktg.searching.search_queue import SearchQueue
from ktg.searching.slots import plan_slots
from ktg.searching.stored_search import StoredSearch
from ktg.tracking import Tracker, log_system_metrics


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
    held: ExitStack | None = None,
    reserve: Reserve | None = None,
    on_checked: Callable[[], None] | None = None,
    on_trial: Callable[[EndedTrial], None] | None = None,
    learn_from: Sequence[StoredSearch] = (),
    places: Sequence[str] = (),
) -> Result:
    """Search a space and return its result.

    tracker: where the search is recorded; `ktg.tracking.MlflowTracker(name)` for MLflow.
    missing_sources: whether options for which there are no weights stop the search or are left out.
    address: a Ray cluster to join; default: Ray is started on this machine.
    storage: folder for Ray's own files, on a cluster one that all machines share.
    decoding: called with (done, all) while images are decoded for the first time.
    past: what this search had done before it was interrupted, to go on from there.
    stop_asked: called now and then with the id of the search's run; returns whether to stop as
    after Ctrl-C.
    held: see `drive_queue`; required with `past` if reading that took the driver's lock.
    reserve: what is left of the budget for what the caller does afterwards: `Result.left_s`.
    on_checked: called when everything was checked and nothing has begun.
    on_trial: called with each trial that has ended. What it raises ends the search; it is raised
    from here when that is recorded.
    learn_from: earlier searches, whose trials the sampler learns from.
    places: options that `ktg search NAME --resume` must be given to go on with this one.

    Raises SpecError, DataError or WeightsError before any training for anything that could not be
    trained, and UserError for a machine of a cluster that lacks ktg or a file.
    """
    if address is not None:
        check_address(address)
    console = console or Console(quiet=True)
    warn = partial(print_warning, console)
    folder = (storage or cache_folder() / "ray").resolve()
    dataset, space = open_space(space, missing_sources, console, decoding)
    begun = time.monotonic() - (past.elapsed_s if past else 0.0)
    resolved = measure_affinity(space, dataset, console)
    space = resolved.space
    console.print(format_headline(space, name), highlight=False)
    if past and past.tags.get("data.fingerprint", dataset.fingerprint) != dataset.fingerprint:
        problem = "its trials cannot be compared with new ones"
        raise DataError(f"the data have changed since the search began: {problem}")
    if on_checked is not None:
        on_checked()
    before = (past.trials, past.duplicates) if past else ((), ())
    prior = tell_prior(learn_from, space, console)
    images = count_judges(
        space.search.metric, dataset.val.labels, dataset.train.labels, space.search.folds
    )
    if past and JUDGES not in past.tags:  # its winner is the best mean, as it began
        images = None
    reserve = reserve or Reserve()
    if past:
        reserve = replace(reserve, spent_s=past.spent_s)
    queue = SearchQueue(space, *before, reserve=reserve, prior=prior, images=images)
    queue.advance(time.monotonic() - begun)
    callback = None if on_trial is None else TrialCallback(on_trial)
    again = resume_command(name, places)
    with ExitStack() as stack:
        stack.enter_context(leave_last_words(again))
        with console.status("Starting Ray"):
            ray = stack.enter_context(start_ray(address))
        slots = plan_slots(space.search, ray, address, vary_each_hole(space), folder, warn)
        queue.time.at_once = slots.at_once
        if address is None:  # what comes after the search is trained here
            queue.time.gain_alone = slots.gain_alone(torch.get_num_threads())
        brackets = plan_brackets(space.search, queue.most_epochs)

        def record() -> SearchRecorder:
            tags = size_tags(dataset) | slots.tags() | driver_tags()
            tags |= {} if images is None else {JUDGES: f"{images:g}"}
            tags |= {SPENT: f"{reserve.spent_s:.1f}"}
            data = describe_data(space.bind(space.default()).data, dataset)
            recorder = SearchRecorder(tracker, queue, name, tags, past, data, again)
            resolved.record(tracker, recorder.parent)
            stack.enter_context(log_system_metrics(tracker, recorder.parent))
            return recorder

        started, resumed = time.monotonic(), past.run if past else None
        recorder = drive_queue(
            queue,
            record,
            slots,
            folder,
            console,
            brackets,
            resumed=resumed,
            stop_asked=stop_asked,
            held=held,
            clock=lambda: time.monotonic() - begun,
            on_trial=callback,
        )
        queue.advance(time.monotonic() - begun)
    result = summarize_search(queue, name, time.monotonic() - started, len(dataset.val))
    error = None if callback is None else callback.error
    ended = result.interrupted or error is not None
    result = replace(result, skipped=dataset.skipped, interrupted=ended, run=recorder.parent)
    recorder.end(result)
    if error is not None:
        raise error
    return result


def tell_prior(
    searches: Sequence[StoredSearch], space: SearchSpace, console: Console
) -> Prior | None:
    """Return what the sampler learns from earlier searches, and print how much; None without."""
    if not searches:
        return None
    with console.status("Reading earlier searches"):
        prior = gather_prior(searches, list_arm_spaces(space, find_alone_space(space)))
    console.print(prior.told, markup=False, highlight=False)
    return prior


def open_space(
    space: SearchSpace,
    missing_sources: Missing,
    console: Console,
    decoding: Callable[[int, int], None] | None,
) -> tuple[Dataset, SearchSpace]:
    """Return the data, and the space without options that lack weights; print what was left out."""
    found = remove_unavailable(space, missing_sources)
    for what, why in found.changes.items():
        print_warning(console, f"{what} {why}")
    return check_space(found.space, decoding), found.space


def measure_affinity(space: SearchSpace, dataset: Dataset, console: Console) -> ResolvedSpace:
    """Return the space with its affinity measured, and print what was."""
    with console.status("Measuring affinity") as status:
        resolved = resolve_affinity(
            space, dataset, lambda what: status.update(Text(f"Measuring affinity: {what}"))
        )
    if resolved.holes:
        console.print(resolved.make_table(), highlight=False)
    for what, why in resolved.not_measured().items():
        print_warning(console, f"{what} was not measured, and is kept: {why}")
    return resolved
