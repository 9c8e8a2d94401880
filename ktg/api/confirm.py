"""Confirms a search: trains its best graphs and its baselines again and compares their tests."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ktg.api.delivery import find_page_folder, keep_page
from ktg.api.inputs import STORE, check_storage, check_store, open_tracker
from ktg.api.listener import QUIET, Listener, ignore

if TYPE_CHECKING:
    from collections.abc import Callable

    from ktg.searching.confirm.verdict import Confirmation as Confirmation

SEEDS = 5
WAITING = "waiting for another process that sends records to the store"


def confirm(
    experiment: str,
    *,
    top: int = 1,
    seeds: int = SEEDS,
    address: str | None = None,
    storage: str | Path | None = None,
    tracking_uri: str = STORE,
    listener: Listener = QUIET,
    on_confirmation: "Callable[[Confirmation], None]" = ignore,
) -> "Confirmation":
    """Train the best graphs and the baselines of an experiment's last search again, and test them.

    Each is trained with new seeds. Returns what `ktg confirm` prints: `.sentence` says whether the
    best graph is better than each baseline. What an earlier call has finished is not trained again.
    on_confirmation: called with the result before the page of `ktg report` is rewritten.
    """
    found = run_confirmation(experiment, top, seeds, tracking_uri, address, storage, listener)
    on_confirmation(found)
    page = find_page_folder(experiment, tracking_uri, found.search)
    keep_page(experiment, page, tracking_uri, listener, found.search)
    return found


def run_confirmation(
    experiment: str,
    top: int,
    seeds: int,
    uri: str,
    address: str | None = None,
    storage: str | Path | None = None,
    listener: Listener = QUIET,
    run: str | None = None,
) -> "Confirmation":
    """Confirm a search and record it in its store; write no report.

    run: of the search; default: the experiment's last one.
    """
    from ktg.searching.confirm.run import confirm_search
    from ktg.searching.confirm.store import find_confirmations
    from ktg.searching.driver_lock import checkpoint_folder, end_dead_searches, hold_driver_lock
    from ktg.searching.history import read_last_search
    from ktg.tracking import find_experiment, make_stop_check, recover

    check_store(uri)
    place = check_storage(storage, "confirm")
    found = find_experiment(experiment, uri)
    # The lock of the driver is held until the records are delivered, which the tracker does last.
    with ExitStack() as held, open_tracker(experiment, uri, listener) as tracker:
        end_dead_searches(found, tracker, place)
        search = read_last_search(found, run)
        if search.of > 1:
            listener.say(search.sentence)
        before = next(iter(find_confirmations(found, search.run.id)), None)
        if before:
            lock = hold_driver_lock(checkpoint_folder(place, before.run), "confirmation")
            held.enter_context(lock)
            # What is not in the store would be trained again.
            recover(uri, on_wait=partial(listener.say, WAITING))
        return confirm_search(
            found,
            tracker,
            run=search.run.id,
            top=top,
            seeds=seeds,
            console=listener.console,
            address=address,
            storage=place,
            decoding=listener.decoding,
            stop_asked=make_stop_check(experiment, uri, before.tags if before else {}),
            held=held,
        )
