"""Confirms a search: its best graphs and its baselines, trained again with new seeds, side by side when tested."""

import shlex
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from ktg.errors import UserError
from ktg.local import cache_folder
from ktg.searching.cluster import check_address, cluster
from ktg.searching.confirm.candidates import read_candidates
from ktg.searching.confirm.check import check
from ktg.searching.confirm.progress import Trainings, headline
from ktg.searching.confirm.queue import Agenda, read_done
from ktg.searching.confirm.recorder import Journal
from ktg.searching.confirm.store import confirmations_of, result
from ktg.searching.confirm.verdict import Confirmation, judge
from ktg.searching.confirm.worker import Retrainer
from ktg.searching.driver_lock import driver_tags, only_driver, stoppable, terminable
from ktg.searching.ray_adapter import Deaths, Proposals
from ktg.searching.ray_run import Slots, checkpoints_of, drive, slots_of, warn
from ktg.searching.run import Observers
from ktg.tracking import Experiment, Tracker


def confirm_search(
    experiment: Experiment,
    tracker: Tracker,
    *,
    top: int = 1,
    seeds: int = 5,
    console: Console | None = None,
    address: str | None = None,
    storage: Path | None = None,
    decoding: Callable[[int, int], None] | None = None,
    stop_asked: Callable[[str], bool] | None = None,
) -> Confirmation:
    """Train the `top` best graphs of an experiment's last search and all its baselines again, and test them.

    Each is trained with as many `seeds` that the search has not used, on all images but those of
    the test split, in the slots that the search gave its trials. What an earlier call has finished
    is not trained again.

    Raises UserError (its kinds are those of `ktg.searching.run.search`) before any training for
    whatever could not be trained or tested, and KeyboardInterrupt when it is interrupted: then what
    has finished is kept.
    """
    if seeds < 2:
        raise UserError(
            f"seeds: at least 2 are needed to tell a difference from chance, got {seeds}"
        )
    if address is not None:
        check_address(address)
    console, folder = console or Console(quiet=True), (storage or cache_folder() / "ray").resolve()
    chosen = read_candidates(experiment, top)
    fingerprints, images = check(chosen, decoding)
    agenda = Agenda(
        chosen.graphs, chosen.seeds(seeds), read_done(experiment, fingerprints.values(), images)
    )
    before = next(iter(confirmations_of(experiment, chosen.search.id)), None)
    judged = partial(judge, experiment.name, chosen.search.id, agenda, images)
    if before and not agenda.planned and same(result(experiment, before), judged().to_json()):
        console.print(
            f"{experiment.name}: confirmed before; nothing is trained again",
            markup=False,
            highlight=False,
        )
        return judged()
    console.print(headline(agenda, experiment.name), highlight=False)
    with ExitStack() as stack:
        if before:
            stack.enter_context(only_driver(checkpoints_of(folder, before.run), "confirmation"))
        slots: Slots | None = None
        if agenda.planned:
            with console.status("Starting Ray"):
                ray = stack.enter_context(cluster(address))
            graphs = [candidate.graph for candidate in chosen.graphs]
            slots = slots_of(
                chosen.space.search, ray, address, graphs, folder, partial(warn, console)
            )
        tags = driver_tags() | (slots.tags() if slots else {})
        journal = Journal(tracker, agenda, chosen.search, fingerprints, tags, before)
        checkpoints = checkpoints_of(folder, journal.parent)
        if not before:
            stack.enter_context(only_driver(checkpoints, "confirmation"))
        if slots:
            stack.enter_context(terminable())
            stack.enter_context(stoppable(stop_asked and partial(stop_asked, journal.parent)))
            train(agenda, journal, console, slots, checkpoints)
    if agenda.interrupted:
        journal.interrupt()
        told(agenda, experiment.name, top, seeds, console)
        raise KeyboardInterrupt
    shutil.rmtree(checkpoints, ignore_errors=True)
    confirmation = judged()
    journal.end(confirmation)
    return confirmation


def train(
    agenda: Agenda, journal: Journal, console: Console, slots: Slots, checkpoints: Path
) -> None:
    """Let Ray do all trainings that are missing."""
    with Trainings(agenda, console, slots=slots.at_once) as progress:
        observers = Observers(journal, progress)
        proposals = Proposals(
            agenda, observers, cpus=slots.cpus, gpus=slots.gpus, checkpoints=checkpoints
        )
        deaths = Deaths(proposals, partial(warn, console))
        drive(Retrainer, proposals, deaths, slots.at_once, checkpoints.parent)


def same(known: dict[str, Any], new: dict[str, Any]) -> bool:
    """Return whether two confirmations are of the same graphs and seeds."""
    graphs = [
        [(row["what"], row["trial"]) for row in each.get("rows", ())] for each in (known, new)
    ]
    return graphs[0] == graphs[1] and known["seeds"] == new["seeds"]


def told(agenda: Agenda, name: str, top: int, seeds: int, console: Console) -> None:
    """Say what an interruption leaves, and how to go on; no result, which could tempt to stop at a lucky moment."""
    kept = len(agenda.jobs) - agenda.planned + len(agenda.in_state("finished"))
    again = shlex.join(["ktg", "confirm", name, "--top", str(top), "--seeds", str(seeds)])
    console.print(
        f"Interrupted; {kept} of {len(agenda.jobs)} trainings are done and kept.", style="yellow"
    )
    console.print(f"To go on:\n  {again}", markup=False, highlight=False, soft_wrap=True)
