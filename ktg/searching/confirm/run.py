"""Confirms a search: trains its best graphs and its baselines again with new seeds, and tests them.

`finalists.py` chooses the graphs, `check.py` looks for their data and weights, `queue.py` makes a
queue of what earlier confirmations have not done, and Ray trains it as it trains a search
(`ktg.searching.run` tells the life of a trial). `verdict.py` judges the results.
"""

import shlex
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ktg.errors import UserError
from ktg.local import cache_folder
from ktg.searching.cluster import check_address, start_ray
from ktg.searching.confirm.check import check
from ktg.searching.confirm.finalists import read_finalists
from ktg.searching.confirm.queue import build_queue, read_done
from ktg.searching.confirm.recorder import ConfirmRecorder
from ktg.searching.confirm.store import find_confirmations, read_result
from ktg.searching.confirm.verdict import Confirmation, judge
from ktg.searching.driver_lock import driver_tags
from ktg.searching.last_words import leave_last_words
from ktg.searching.progress import print_warning
from ktg.searching.ray_run import drive_queue
from ktg.searching.seed_queue import SeedQueue
from ktg.searching.slots import Slots, plan_slots
from ktg.tracking import Experiment, Tracker, name_places
from ktg.wording import count


def confirm_search(
    experiment: Experiment,
    tracker: Tracker,
    *,
    run: str | None = None,
    top: int = 1,
    seeds: int = 5,
    console: Console | None = None,
    address: str | None = None,
    storage: Path | None = None,
    decoding: Callable[[int, int], None] | None = None,
    stop_asked: Callable[[str], bool] | None = None,
    held: ExitStack | None = None,
) -> Confirmation:
    """Train the `top` best graphs of a search and its baselines again, and test.

    run: of the search; default: the experiment's last one.
    Each is trained with as many `seeds` that the search has not used, on all images but those of
    the test split, in the slots that the search gave its trials. What an earlier call has finished
    is not trained again.

    held: see `drive_queue`; it has the lock of an earlier confirmation of this search, if any.
    Raises UserError (its kinds are those of `ktg.searching.run.search`) before any training for
    whatever could not be trained or tested, and KeyboardInterrupt when it is interrupted: then what
    has finished is kept.
    """
    if seeds < 2:
        problem = f"at least 2 are needed to tell a difference from chance, got {seeds}"
        raise UserError(f"seeds: {problem}")
    if address is not None:
        check_address(address)
    console, folder = console or Console(quiet=True), (storage or cache_folder() / "ray").resolve()
    chosen, name = read_finalists(experiment, top, run), experiment.name
    images, labels = check(chosen, decoding)
    queue = build_queue(chosen, seeds, read_done(experiment, images.values(), len(labels)))
    before = next(iter(find_confirmations(experiment, chosen.search.run.id)), None)
    if before and before.state == "finished" and not queue.left:
        verdict = judge(name, chosen, queue, labels)
        if is_same(read_result(experiment, before), verdict.to_json()):
            said = f"{name}: confirmed before; nothing is trained again"
            console.print(said, markup=False, highlight=False)
            return verdict
    console.print(format_headline(queue, len(chosen.graphs), name), highlight=False)
    slots = Slots(0, 0, 0)  # nothing is left to train: its run may not have been ended
    with ExitStack() as stack:
        if queue.left:
            stack.enter_context(leave_last_words("the same command"))
            with console.status("Starting Ray"):
                ray = stack.enter_context(start_ray(address))
            graphs = [finalist.graph for finalist in chosen.graphs]
            warn = partial(print_warning, console)
            slots = plan_slots(chosen.space.search, ray, address, graphs, folder, warn)
        tags = driver_tags() | (slots.tags() if queue.left else {})

        def record() -> ConfirmRecorder:
            return ConfirmRecorder(tracker, queue, chosen, images, tags, before)

        resumed = before.run if before else None
        recorder = drive_queue(
            queue,
            record,
            slots,
            folder,
            console,
            resumed=resumed,
            stop_asked=stop_asked,
            held=held,
        )
    if queue.is_interrupted:
        recorder.interrupt()
        cluster = {"address": address, "storage": storage}
        print_interruption(queue, experiment, top, seeds, console, **cluster)
        raise KeyboardInterrupt
    confirmation = judge(name, chosen, queue, labels)
    recorder.end(confirmation)
    return confirmation


def is_same(known: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether two confirmations are of the same graphs and seeds, and by the same metric.

    And whether they found the same: they did not where other test images had come in between.
    """
    old, now = (
        [(row["what"], row["trial"], row.get("test_accuracy")) for row in one.get("rows", ())]
        for one in (known, new)
    )
    # One that says nothing of metrics went by accuracy.
    by, now_by = (
        [one.get(key, "accuracy") for key in ("metric", "searched_by")] for one in (known, new)
    )
    return old == now and known["seeds"] == new["seeds"] and by == now_by


def format_headline(queue: SeedQueue, graphs: int, name: str) -> Text:
    """Return what a confirmation is about to do."""
    done = queue.total - queue.left
    known = f", {done} of them done before" if done else ""
    each = f"{count(graphs, 'graph')} with {count(len(queue.seeds), 'seed')} each"
    what = f"{each}: {count(queue.total, 'training')}{known}"
    return Text.assemble("confirming ", (name, "bold"), f": {what}")


def print_interruption(
    queue: SeedQueue,
    experiment: Experiment,
    top: int,
    seeds: int,
    console: Console,
    **cluster: object,
) -> None:
    """Print what is left after an interruption, and how to go on; cluster: options for that.

    No result is printed, which could tempt to stop at a lucky moment.
    """
    done = queue.total - queue.left + len(queue.in_state("finished"))
    words = ["ktg", "confirm", experiment.name, "--top", str(top), "--seeds", str(seeds)]
    again = shlex.join([*words, *name_places(experiment.uri, **cluster)])
    kept = f"{done} of {queue.total} trainings are done and kept"
    console.print(f"Interrupted; {kept}.", style="yellow")
    console.print(f"To go on:\n  {again}", markup=False, highlight=False, soft_wrap=True)
