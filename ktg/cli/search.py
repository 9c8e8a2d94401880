"""`ktg search`."""

import dataclasses
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

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
from ktg.files import naming
from ktg.space import Choice, SearchSpace

if TYPE_CHECKING:
    from rich.console import Console

    from ktg.searching.outcome import Result
    from ktg.searching.past import Past
    from ktg.searching.supply import Missing
    from ktg.tracking import Tracker


@click.command(epilog="Example: ktg search search_spaces/quickstart.yaml --trials 50")
@click.argument("space", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the experiment; default: the space's own, or its file's.")
@click.option("--trials", type=click.IntRange(1), help="Graphs to train, instead of what the space says.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the sampler, instead of what the space says.")
@click.option("--address", help="A running Ray cluster: auto, or ray://host:port.")
@click.option("--storage", type=click.Path(path_type=Path), help="Folder for Ray's files; shared, on a cluster.")
@click.option("--resume", is_flag=True, help="Go on with the last search of this name; SPACE may be the name itself.")
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
    resume: bool,
    imagenet: dict[str, str],
    missing_sources: "Missing",
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Search SPACE for the best graph, on this machine or on a Ray cluster."""
    check_store(tracking_uri)
    past = None
    if resume and not space.is_file():
        experiment = name or str(space)
        past = read_back(experiment, tracking_uri)
        loaded = past.space
    else:
        loaded = checked_space(space, imagenet)
        experiment = experiment_name(loaded, space, name)
        if resume:
            past = read_back(experiment, tracking_uri)
            check_same(loaded, past.space, experiment, space)
            loaded = dataclasses.replace(past.space, search=loaded.search)
    plan = loaded.search
    plan = dataclasses.replace(plan, trials=trials or plan.trials, seed=plan.seed if seed is None else seed)
    loaded = dataclasses.replace(loaded, search=plan)
    if storage is not None:
        check_writable(storage / "search")

    from rich.console import Console

    from ktg.searching.run import search as run
    from ktg.tracking import MlflowTracker, stop_asked

    console = Console(stderr=as_json)
    tracker = MlflowTracker(experiment, tracking_uri, warn=warner(console))
    with naming(space), tracker, Decoding(console) as decoding:
        clear_up(experiment, tracking_uri, tracker)
        result = run(
            loaded,
            experiment,
            tracker,
            missing_sources=missing_sources,
            console=console,
            address=address,
            storage=storage,
            decoding=decoding,
            past=past,
            stop_asked=stop_asked(experiment, tracking_uri, past.tags if past else {}),
        )
        delivered = tracker.close() is None
    if as_json:
        print_json(result.to_json())
    else:
        print_result(result, console)
    if delivered and result.best is not None and not result.interrupted:
        place = keep_report(experiment, tracking_uri)
        console.print(f"Report: {place}", markup=False, highlight=False, soft_wrap=True)
    if result.interrupted:
        raise KeyboardInterrupt
    if result.best is None:
        raise KtgError(f"no trial finished; the most common reason: {result.commonest_failure or 'none was given'}")


def read_back(experiment: str, uri: str) -> "Past":
    """Return the last search of an experiment, with all that its driver had put down before it was killed."""
    from ktg.searching.past import read_past
    from ktg.tracking import find_experiment, recover

    recover(uri)  # what cannot be sent would be trained again
    return read_past(find_experiment(experiment, uri))


def clear_up(experiment: str, uri: str, tracker: "Tracker") -> None:
    """End the searches of that name that are dead."""
    from ktg.searching.alone import end_dead
    from ktg.tracking import find_experiment

    with suppress(UserError):  # a store that is away, or not there yet, is no reason not to search
        end_dead(find_experiment(experiment, uri), tracker)


def check_same(given: SearchSpace, searched: SearchSpace, experiment: str, path: Path) -> None:
    """Raise UserError unless a space is the one that was searched, but for options left out for want of weights."""
    default = searched.default()
    same = given.holes.keys() == searched.holes.keys() and all(
        option in given.holes[place].options_to_check() if isinstance(hole, Choice) else hole == given.holes[place]
        for place, hole in searched.holes.items()
        for option in hole.options_to_check()
    )
    if not same or given.fill(default) != searched.fill(default):
        raise UserError(
            f"{path}: has changed since the search began; go on with it as it was: "
            f"`{shlex.join(['ktg', 'search', experiment, '--resume'])}`, or search the changed one under another --name"
        )


def print_result(result: "Result", console: "Console") -> None:
    """Print the best graph beside the baselines, what was spent and saved, and what to do next."""
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
    console.print(f"{states}; {result.epochs} epochs in {duration(result.wall_s)}; {saved}.", highlight=False)
    if result.exhausted:
        console.print("The space is exhausted: every graph in it that could be trained was.")
    if result.interrupted:
        console.print("Interrupted; what was found so far is kept.", style="yellow")
        again = shlex.join(["ktg", "search", result.name, "--resume"])
        console.print(f"To go on:\n  {again}", markup=False, highlight=False, soft_wrap=True)
    if result.best is not None:
        command = shlex.join(["ktg", "export", result.name, "-o", "best.yaml"])
        console.print(f"\nNext:\n  {command}", markup=False, highlight=False, soft_wrap=True)
