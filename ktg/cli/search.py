"""`ktg search`."""

import dataclasses
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktg.cli.decoding import Decoding
from ktg.cli.load import checked_space, experiment_name
from ktg.cli.options import as_json, check_store, check_writable, percent, print_json, tracking_uri, warner
from ktg.errors import KtgError
from ktg.files import naming

if TYPE_CHECKING:
    from rich.console import Console

    from ktg.searching.outcome import Result


@click.command(epilog="Example: ktg search search_spaces/quickstart.yaml --trials 50")
@click.argument("space", type=click.Path(path_type=Path))
@click.option("--name", help="Name of the experiment; default: the space's own, or its file's.")
@click.option("--trials", type=click.IntRange(1), help="Graphs to train, instead of what the space says.")
@click.option("--seed", type=click.IntRange(0), help="Seed of the sampler, instead of what the space says.")
@click.option("--address", help="A running Ray cluster: auto, or ray://host:port.")
@click.option("--storage", type=click.Path(path_type=Path), help="Folder for Ray's files; shared, on a cluster.")
@tracking_uri
@as_json
def search(
    space: Path,
    name: str | None,
    trials: int | None,
    seed: int | None,
    address: str | None,
    storage: Path | None,
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Search SPACE for the best graph, on this machine or on a Ray cluster."""
    loaded = checked_space(space)
    plan = loaded.search
    plan = dataclasses.replace(plan, trials=trials or plan.trials, seed=plan.seed if seed is None else seed)
    loaded = dataclasses.replace(loaded, search=plan)
    experiment = experiment_name(loaded, space, name)
    check_store(tracking_uri)
    if storage is not None:
        check_writable(storage / "search")

    from rich.console import Console

    from ktg.searching.run import search as run
    from ktg.tracking import MlflowTracker

    console = Console(stderr=as_json)
    tracker = MlflowTracker(experiment, tracking_uri, warn=warner(console))
    with naming(space), tracker, Decoding(console) as decoding:
        result = run(loaded, experiment, tracker, console=console, address=address, storage=storage, decoding=decoding)
    if as_json:
        print_json(result.to_json())
    else:
        print_result(result, console)
    if result.interrupted:
        raise KeyboardInterrupt
    if result.best is None:
        raise KtgError(f"no trial finished; the most common reason: {result.commonest_failure or 'none was given'}")


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
    if result.best is not None:
        command = shlex.join(["ktg", "export", result.name, "-o", "best.yaml"])
        console.print(f"\nNext:\n  {command}", markup=False, highlight=False, soft_wrap=True)
