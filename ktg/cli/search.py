"""`ktg search`."""

import dataclasses
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktg.cli.confirm import SEEDS, print_confirmation
from ktg.cli.confirm import run as confirm
from ktg.cli.decoding import Decoding
from ktg.cli.load import checked_space, experiment_name
from ktg.cli.options import (
    as_json,
    check_store,
    check_writable,
    imagenet_files,
    missing_sources,
    percent,
    print_json,
    tracking_uri,
    warner,
)
from ktg.cli.report import keep_report
from ktg.errors import KtgError, UserError
from ktg.graph import Choice, SearchSpace
from ktg.graph.yaml_files import name_file_in_errors

if TYPE_CHECKING:
    from rich.console import Console

    from ktg.searching.missing_weights import Missing
    from ktg.searching.result import Result
    from ktg.searching.resume import ResumedSearch
    from ktg.tracking import Tracker


@click.command(epilog="Example: ktg search search_spaces/quickstart.yaml --trials 50")
@click.argument("space", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the experiment; default: the space's own, or its file's.")
@click.option(
    "--trials", type=click.IntRange(1), help="Graphs to train, instead of what the space says."
)
@click.option(
    "--seed", type=click.IntRange(0), help="Seed of the sampler, instead of what the space says."
)
@click.option("--address", help="A running Ray cluster: auto, or ray://host:port.")
@click.option(
    "--storage",
    type=click.Path(path_type=Path),
    help="Folder for Ray's files; shared, on a cluster.",
)
@click.option(
    "--confirm",
    "top",
    type=click.IntRange(1),
    help="Afterwards confirm so many best graphs: `ktg confirm`.",
)
@click.option(
    "--seeds", type=click.IntRange(2), help="Trainings of each graph with --confirm; default: 5."
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on with the last search of this name; SPACE may be the name itself.",
)
@imagenet_files("--weights", "--imagenet")
@missing_sources
@tracking_uri
@as_json
def search(
    space: Path,
    name: str | None,
    trials: int | None,
    seed: int | None,
    address: str | None,
    storage: Path | None,
    top: int | None,
    seeds: int | None,
    resume: bool,
    imagenet: dict[str, str],
    missing_sources: "Missing",
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Search SPACE for the best graph, on this machine or on a Ray cluster."""
    if seeds and not top:
        raise UserError(
            "--seeds: says how often --confirm trains each graph; give that too, for example --confirm 1"
        )
    check_store(tracking_uri)
    experiment, loaded, past = asked_for(space, name, imagenet, tracking_uri, resume=resume)
    plan = loaded.search
    plan = dataclasses.replace(
        plan, trials=trials or plan.trials, seed=plan.seed if seed is None else seed
    )
    loaded = dataclasses.replace(loaded, search=plan)
    if storage is not None:
        check_writable(storage / "search")

    from rich.console import Console

    console = Console(stderr=as_json)
    with name_file_in_errors(space):
        if top:
            check_confirmable(loaded, top, console)
        known = left_as_it_is(past, loaded, experiment, console)
        if known is None:
            result, delivered = run(
                loaded, experiment, tracking_uri, missing_sources, past, console, address, storage
            )
        else:
            result, delivered = known, False
    if not as_json:
        print_result(result, console, to_confirm=top is not None)
    if top and result.best is not None and not result.interrupted:
        top = min(top, result.finished)
        confirmation = confirm(
            experiment, top, seeds or SEEDS, tracking_uri, console, address, storage
        )
        result = dataclasses.replace(result, confirmation=confirmation.to_json())
        if not as_json:
            print_confirmation(confirmation, console)
    if as_json:
        print_json(result.to_json())
    end(result, tracking_uri, console, changed=delivered or top is not None)


def asked_for(
    space: Path, name: str | None, imagenet: dict[str, str], uri: str, *, resume: bool
) -> "tuple[str, SearchSpace, ResumedSearch | None]":
    """Return the name of the experiment, the space, and what there is of the search to go on with."""
    if resume and not space.is_file():
        experiment = name or str(space)
        past = read_back(experiment, uri)
        return experiment, past.space, past
    loaded = checked_space(space, imagenet)
    experiment = experiment_name(loaded, space, name)
    if not resume:
        return experiment, loaded, None
    past = read_back(experiment, uri)
    check_same(loaded, past.space, experiment, space)
    return experiment, dataclasses.replace(past.space, search=loaded.search), past


def check_confirmable(space: SearchSpace, top: int, console: "Console") -> None:
    """Raise UserError for a search that could not be confirmed."""
    from ktg.searching.confirm.check import check_test

    with Decoding(console) as decoding:
        check_test(space, top, decoding)


def end(result: "Result", uri: str, console: "Console", *, changed: bool) -> None:
    """Keep a report where there is something new; raise for a search that was interrupted or found nothing."""
    if result.interrupted:
        raise KeyboardInterrupt
    if result.best is None:
        raise KtgError(
            f"no trial finished; the most common reason: {result.commonest_failure or 'none was given'}"
        )
    if changed:
        place = keep_report(result.name, uri)
        console.print(f"Report: {place}", markup=False, highlight=False, soft_wrap=True)


def run(
    space: SearchSpace,
    experiment: str,
    uri: str,
    missing_sources: "Missing",
    past: "ResumedSearch | None",
    console: "Console",
    address: str | None,
    storage: Path | None,
) -> "tuple[Result, bool]":
    """Search a space, and return what came of it and whether the store has all of it."""
    from ktg.searching.run import search
    from ktg.tracking import MlflowTracker, stop_asked

    tracker = MlflowTracker(experiment, uri, warn=warner(console))
    with tracker, Decoding(console) as decoding:
        look_back(experiment, uri, tracker, None if past else console)
        result = search(
            space,
            experiment,
            tracker,
            missing_sources=missing_sources,
            console=console,
            address=address,
            storage=storage,
            decoding=decoding,
            past=past,
            stop_asked=stop_asked(experiment, uri, past.tags if past else {}),
        )
        return result, tracker.close() is None


def left_as_it_is(
    past: "ResumedSearch | None", space: SearchSpace, experiment: str, console: "Console"
) -> "Result | None":
    """Return the result of a search that is over and is asked for no more trials; None for one that is to be run."""
    if past is None or not past.is_over or space.search.trials > past.space.search.trials:
        return None
    from ktg.searching.result import result_of
    from ktg.searching.trials import SearchQueue

    more = shlex.join(
        ["ktg", "search", experiment, "--resume", "--trials", str(2 * past.space.search.trials)]
    )
    said = f"{experiment}: this search is finished, and stays as it is; for more trials: {more}"
    console.print(said, markup=False, highlight=False, soft_wrap=True)
    return result_of(
        SearchQueue(past.space, past.entries, past.duplicates),
        experiment,
        past.stored.wall_s,
        interrupted=False,
    )


def read_back(experiment: str, uri: str) -> "ResumedSearch":
    """Return the last search of an experiment, with all that its driver had put down before it was killed."""
    from ktg.searching.resume import read_search_to_resume
    from ktg.tracking import find_experiment, recover

    recover(uri)  # what cannot be sent would be trained again
    return read_search_to_resume(find_experiment(experiment, uri))


def look_back(experiment: str, uri: str, tracker: "Tracker", console: "Console | None") -> None:
    """End the searches of that name that are dead; tell a console, where one is given, how many there are already."""
    from ktg.searching.driver_lock import end_dead_searches
    from ktg.tracking import find_experiment

    with suppress(UserError):  # a store that is away, or not there yet, is no reason not to search
        found = find_experiment(experiment, uri)
        end_dead_searches(found, tracker)
        number = len(found.of_kind("search"))
        if number and console:
            held = "1 search" if number == 1 else f"{number} searches"
            said = f"a new search is added to experiment {experiment}, which holds {held}; another --seed makes it differ"
            console.print(said, markup=False, highlight=False, soft_wrap=True)


def check_same(given: SearchSpace, searched: SearchSpace, experiment: str, path: Path) -> None:
    """Raise UserError unless a space is the one that was searched, but for options left out for want of weights."""
    default = searched.default()
    same = given.holes.keys() == searched.holes.keys() and all(
        option in given.holes[place].options_to_check()
        if isinstance(hole, Choice)
        else hole == given.holes[place]
        for place, hole in searched.holes.items()
        for option in hole.options_to_check()
    )
    if not same or given.fill(default) != searched.fill(default):
        raise UserError(
            f"{path}: has changed since the search began; go on with it as it was: "
            f"`{shlex.join(['ktg', 'search', experiment, '--resume'])}`, or search the changed one under another --name"
        )


def print_result(result: "Result", console: "Console", *, to_confirm: bool = False) -> None:
    """Print the best graph beside the baselines, what was spent and saved, and what to do next.

    to_confirm: whether it is about to be confirmed, which is then no advice.
    """
    from rich.table import Table

    from ktg.searching.progress import duration

    table = Table(title="Validation split, same budget for all", title_justify="left")
    for column in ("", "accuracy", "loss", "training time", "trial"):
        table.add_column(column, justify="left" if column in ("", "trial") else "right")
    for row in result.rows:
        style = "bold" if row.what == "best graph" else None
        trial, _, baseline = row.trial.partition(" ")
        what = f"{row.what} {baseline}".rstrip() if row.what == "best graph" else row.what
        cells = (what, percent(row.accuracy), f"{row.loss:.4f}", duration(row.train_s), trial)
        table.add_row(*cells, style=style)
    console.print(table)
    saved = f"{result.epochs_saved} epochs saved by stopping early and by {result.duplicates} duplicates not trained"
    states = f"{result.finished} finished, {result.stopped} stopped early, {result.failed} failed"
    console.print(
        f"{states}; {result.epochs} epochs in {duration(result.wall_s)}; {saved}.", highlight=False
    )
    if result.exhausted:
        console.print("The space is exhausted: every graph in it that could be trained was.")
    if result.interrupted:
        console.print("Interrupted; what was found so far is kept.", style="yellow")
        again = shlex.join(["ktg", "search", result.name, "--resume"])
        console.print(f"To go on:\n  {again}", markup=False, highlight=False, soft_wrap=True)
    if result.best is not None:
        advice = [] if to_confirm or result.interrupted else [["ktg", "confirm", result.name]]
        advice.append(["ktg", "export", result.name, "-o", "best.yaml"])
        lines = "".join(f"\n  {shlex.join(words)}" for words in advice)
        console.print(f"\nNext:{lines}", markup=False, highlight=False, soft_wrap=True)
