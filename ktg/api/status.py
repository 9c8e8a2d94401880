"""Follows searches: how they stand, how to stop one, and MLflow's pages about them."""

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ktg.api.inputs import STORE

if TYPE_CHECKING:
    from ktg.reporting.status import Status as Status

EVERY_S = 3.0


def searches(*, tracking_uri: str = STORE) -> "list[Status]":
    """Return how the last search of every experiment of a store stands, the newest first."""
    from ktg.reporting.status import read_statuses
    from ktg.tracking import find_experiments

    return read_statuses(find_experiments(tracking_uri))


def status(experiment: str, *, tracking_uri: str = STORE) -> "Status":
    """Return how an experiment's last search stands: its state, its trials, the best so far."""
    return next(follow(experiment, tracking_uri=tracking_uri))


def follow(
    experiment: str, *, every_s: float = EVERY_S, tracking_uri: str = STORE
) -> "Iterator[Status]":
    """Yield the status of an experiment's last search until it and its confirmation are over."""
    from ktg.reporting.status import read_status
    from ktg.tracking import find_experiment

    found = find_experiment(experiment, tracking_uri)
    now = read_status(found)
    yield now
    while now.going_on:
        time.sleep(every_s)
        now = read_status(found)
        yield now


def stop(experiment: str, *, tracking_uri: str = STORE) -> None:
    """Ask the running search of an experiment to end as after Ctrl-C."""
    from ktg.searching.driver_lock import find_state
    from ktg.tracking import request_stop

    request_stop(experiment, tracking_uri, find_state)


def ui(
    port: int = 5000,
    tracking_uri: str = STORE,
    *,
    experiment: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Show searches and trials in MLflow's pages, for this machine only, until Ctrl-C.

    ready: called with the address of the pages once they are there; with `experiment` it is that
    of its trials, the best first.
    """
    from ktg.tracking import find_experiment, serve_ui
    from ktg.tracking.views import TRIALS, view_path

    page = ""
    if experiment is not None:
        page = view_path(find_experiment(experiment, tracking_uri).id, TRIALS)
    serve_ui(tracking_uri, port, ready=ready and (lambda url: ready(url + page)))
