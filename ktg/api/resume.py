"""Takes up a search where it ended: what is there of it, and whether its space is the same."""

import dataclasses
import math
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ktg.api import inputs
from ktg.api.confirm import WAITING
from ktg.api.listener import Listener
from ktg.errors import UserError, show
from ktg.graph import Choice, Search, SearchSpace

if TYPE_CHECKING:
    from ktg.searching.missing_weights import Missing
    from ktg.searching.result import Result
    from ktg.searching.resume import ResumedSearch

# What the trials that are there were made by.
KEPT = ("metric", "folds", "baselines", "alone_share")


def name_search_places(
    uri: str | None,
    missing_sources: "Missing" = "stop",
    learn_from: Sequence[str] = (),
    **places: object,
) -> list[str]:
    """Return the options with which `ktg search NAME --resume` goes on with a search.

    learn_from: the experiments that its sampler learns from. places: see `name_places`.
    """
    dropped = None if missing_sources == "stop" else missing_sources
    learnt = [word for name in learn_from for word in ("--learn-from", name)]
    return learnt + inputs.name_places(uri, **places, missing_sources=dropped)


def lock_and_read_past(
    experiment: str, uri: str | None, storage: Path | None, held: ExitStack, listener: Listener
) -> "ResumedSearch":
    """Return an experiment's last search, with all that its driver had recorded until its end.

    The lock of its driver goes into `held`. Raises UserError when another process has it.
    """
    from ktg.searching.driver_lock import checkpoint_folder, hold_driver_lock
    from ktg.searching.history import read_newest_search
    from ktg.searching.resume import read_search_to_resume
    from ktg.tracking import find_experiment, recover

    if uri is None:
        raise UserError("resume: needs a store to read the search from; give a tracking_uri")
    wait = partial(listener.say, WAITING)
    recover(uri, on_wait=wait)
    run = read_newest_search(find_experiment(experiment, uri)).run.run
    held.enter_context(hold_driver_lock(checkpoint_folder(storage, run)))
    # Its driver may have died just now. What is not in the store would be trained again.
    recover(uri, on_wait=wait)
    past = read_search_to_resume(find_experiment(experiment, uri))
    if past.run != run:
        see = shlex.join(["ktg", "status", experiment, *inputs.name_store(uri)])
        raise UserError(f"{experiment}: a new search has just begun; see `{see}`")
    return past


def check_same(
    given: SearchSpace,
    searched: SearchSpace,
    experiment: str,
    source: inputs.SpaceLike,
    places: Sequence[str] = (),
) -> None:
    """Raise UserError unless `given` is what was searched, but for more options of a choice.

    Of its section `search` only what may change in between may differ: length, sampler, scheduler.
    places: options that name the store and so on, for the command that is advised.
    """
    from ktg.searching.last_words import resume_command

    where = source if isinstance(source, str | Path) else "the space"
    again = resume_command(experiment, places)
    advice = f"go on with it as it was: `{again}`, or search the changed one under another --name"
    for key in KEPT:
        now, before = getattr(given.search, key), getattr(searched.search, key)
        if now != before:
            problem = f"{show(now)} is not what the search began with, {show(before)}"
            raise UserError(f"{where}: search.{key}: {problem}; {advice}")
    default = searched.default()
    same = given.holes.keys() == searched.holes.keys() and all(
        option in given.holes[place].options_to_check()
        if isinstance(hole, Choice)
        else hole == given.holes[place]
        for place, hole in searched.holes.items()
        for option in hole.options_to_check()
    )
    # A file that names no version of the format is read by the newest; the search by its own.
    as_then = dataclasses.replace(given, template={**given.template, "version": searched.version})
    before = searched.fill(default)
    if not same or before not in (given.fill(default), as_then.fill(default)):
        raise UserError(f"{where}: has changed since the search began; {advice}")


def list_new_options(given: SearchSpace, searched: SearchSpace) -> list[str]:
    """Return the options of choices that a search does not have, because it began without them."""
    return [
        f"{show(option)} of {place}"
        for place, hole in given.holes.items()
        if isinstance(hole, Choice)
        for option in hole.options
        if option not in searched.holes[place].options_to_check()
    ]


def restore_finished(
    experiment: str,
    space: SearchSpace,
    past: "ResumedSearch | None",
    listener: Listener,
    places: Sequence[str] = (),
) -> "Result | None":
    """Return the result of a search that is over and is to have no more trials, else None.

    places: see `check_same`.
    """
    if past is None or not past.is_over or has_more(space.search, past.space.search):
        return None
    from ktg.searching.budget import Reserve
    from ktg.searching.last_words import resume_command
    from ktg.searching.result import summarize_search
    from ktg.searching.search_queue import SearchQueue

    listener.say(
        f"{experiment}: this search is finished, and stays as it is; for more trials: "
        + resume_command(experiment, [*ask_for_more(past), *places])
    )
    reserve = Reserve(spent_s=past.spent_s)
    before = past.trials, past.duplicates
    queue = SearchQueue(past.space, *before, reserve=reserve, images=past.stored.images)
    queue.advance(past.elapsed_s)
    images = past.tags.get("data.val")
    counted = None if images is None else int(images)
    # What is asked for after its budget is not hurried by that: the last training is whole.
    result = summarize_search(queue, experiment, past.stored.wall_s, counted)
    return dataclasses.replace(result, left_s=None, run=past.run)


def ask_for_more(past: "ResumedSearch") -> list[str]:
    """Return the options with which a search that is over gets twice as long."""
    search = past.space.search
    options = [] if search.budget_s is None else ["--budget", f"{2 * search.budget_s:g}s"]
    counted = search.trials if options else search.most_trials
    return options + ([] if counted is None else ["--trials", str(2 * counted)])


def has_more(now: Search, before: Search) -> bool:
    """Return whether a search is to have more trials or time than it had."""
    trials = (now.most_trials or math.inf) > (before.most_trials or math.inf)
    return trials or (now.budget_s or 0.0) > (before.budget_s or 0.0)
