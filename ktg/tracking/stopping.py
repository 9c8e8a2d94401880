"""Stops a search from another process, by a tag on its run that its driver polls."""

from collections.abc import Callable, Mapping
from operator import attrgetter
from time import time

from ktg.errors import UserError
from ktg.tracking.reading import Experiment, RunRecord, find_experiment
from ktg.tracking.store import DEFAULT_URI

STOP_TAG = "ktg.stop"
STOPPABLE = ("search", "confirm")  # kinds of runs whose drivers poll the tag


def request_stop(
    experiment: str,
    uri: str = DEFAULT_URI,
    find_state: Callable[[RunRecord], str] = attrgetter("state"),
) -> RunRecord:
    """Ask the running search (or confirmation) of an experiment to stop, and return its run.

    find_state: returns the state of a run, which the store may not know: of one whose driver died,
    say. Raises UserError when none is running.
    """
    found = find_experiment(experiment, uri)
    runs = found.searches()
    searches = [run for run in runs if run.tags.get("kind") == "search"]
    stoppable = [run for run in runs if run.tags.get("kind") in STOPPABLE]
    running = next((run for run in stoppable if find_state(run) == "running"), None)
    if running is None:
        last = f"; its last one is {find_state(searches[0])}" if searches else ""
        raise UserError(f"no search of {experiment!r} is running{last}")
    found.tag(running, {STOP_TAG: f"asked {time():.3f}"})
    return running


def make_stop_check(experiment: str, uri: str, before: Mapping[str, str]) -> Callable[[str], bool]:
    """Return a function that tells whether the search with a given id (ours) was asked to stop.

    before: the tags of a search that is resumed, so that an old request does not stop it again.
    """
    answered = before.get(STOP_TAG)
    known: list[Experiment] = []

    def is_stop_requested(run: str) -> bool:
        known[:] = known or [find_experiment(experiment, uri)]
        return known[0].tags(run).get(STOP_TAG) not in (None, answered)

    return is_stop_requested
