"""`ktg confirm`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktg.cli.decoding import Decoding
from ktg.cli.options import (
    as_json,
    check_store,
    check_writable,
    percent,
    print_json,
    tracking_uri,
    warner,
)
from ktg.cli.report import keep_report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ktg.searching.confirm.verdict import Confirmation, Row

SEEDS = 5


@click.command(epilog="Example: ktg confirm quickstart --seeds 10")
@click.argument("experiment")
@click.option(
    "--top",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How many of the best graphs, by validation.",
)
@click.option(
    "--seeds",
    type=click.IntRange(2),
    default=SEEDS,
    show_default=True,
    help="Trainings of each graph.",
)
@click.option("--address", help="A running Ray cluster: auto, or ray://host:port.")
@click.option(
    "--storage",
    type=click.Path(path_type=Path),
    help="Folder for Ray's files; shared, on a cluster.",
)
@tracking_uri
@as_json
def confirm(
    experiment: str,
    top: int,
    seeds: int,
    address: str | None,
    storage: Path | None,
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Train EXPERIMENT's best graphs and its baselines again, with new seeds, and test them side by side.

    They are trained on the training and validation splits, in the slots that the search gave its
    trials, and scored on the test split, which no choice has seen. Says whether the best graph is
    better than each baseline, with 95 % intervals. What an earlier call has finished is not trained
    again.
    """
    from rich.console import Console

    console = Console(stderr=as_json)
    confirmation = run(experiment, top, seeds, tracking_uri, console, address, storage)
    if as_json:
        print_json(confirmation.to_json())
    else:
        print_confirmation(confirmation, console)
    place = keep_report(experiment, tracking_uri)
    console.print(f"Report: {place}", markup=False, highlight=False, soft_wrap=True)


def run(
    experiment: str,
    top: int,
    seeds: int,
    uri: str,
    console: "Console",
    address: str | None,
    storage: Path | None,
) -> "Confirmation":
    """Confirm the last search of an experiment, and write it into its store."""
    from ktg.searching.confirm.run import confirm_search
    from ktg.searching.confirm.store import confirmations
    from ktg.searching.driver_lock import end_dead
    from ktg.tracking import MlflowTracker, find_experiment, stop_asked

    check_store(uri)
    if storage is not None:
        check_writable(storage / "confirm")
    found = find_experiment(experiment, uri)
    before = next((run.tags for run in confirmations(found)), {})
    with (
        MlflowTracker(experiment, uri, warn=warner(console)) as tracker,
        Decoding(console) as decoding,
    ):
        end_dead(found, tracker)
        return confirm_search(
            found,
            tracker,
            top=top,
            seeds=seeds,
            console=console,
            address=address,
            storage=storage,
            decoding=decoding,
            stop_asked=stop_asked(experiment, uri, before),
        )


def print_confirmation(confirmation: "Confirmation", console: "Console") -> None:
    """Print the graphs on the test split, the differences to the baselines, and the sentence."""
    from rich.table import Table

    table = Table(title="Test split, mean over seeds", title_justify="left")
    for column in ("", "accuracy", "std", "seeds", "trial"):
        table.add_column(column, justify="left" if column in ("", "trial") else "right")
    for row in confirmation.rows:
        mean, std = ("-" if value is None else percent(value) for value in (row.mean, row.std))
        style = "bold" if row is confirmation.rows[0] else None
        table.add_row(named(row), mean, std, str(len(row.runs)), row.trial, style=style)
    console.print(table)
    if confirmation.differences:
        console.print(differences(confirmation))
    for row in confirmation.rows:
        for seed, reason in row.failures.items():
            warner(console)(f"{row.what}, seed {seed} failed: {reason}")
    for text in (confirmation.sentence, confirmation.basis):
        console.print(text, markup=False, highlight=False)
    if any(row.failures for row in confirmation.rows):
        settings = ["--top", str(confirmation.top), "--seeds", str(len(confirmation.seeds))]
        again = shlex.join(["ktg", "confirm", confirmation.experiment, *settings])
        console.print(
            f"To try again what failed: {again}", markup=False, highlight=False, soft_wrap=True
        )


def differences(confirmation: "Confirmation") -> "Table":
    """Return the table of all differences, in points."""
    from rich.table import Table

    table = Table(title="Differences in points", title_justify="left")
    for column in ("", "minus", "points", "95 % interval", ""):
        table.add_column(
            column, justify="right" if column in ("points", "95 % interval") else "left"
        )
    for each in confirmation.differences:
        mean = "-" if each.difference is None else f"{100 * each.difference:+.2f}"
        ends = (
            "-"
            if each.interval is None
            else " to ".join(f"{100 * end:+.2f}" for end in each.interval)
        )
        table.add_row(each.of, each.against, mean, ends, each.verdict)
    return table


def named(row: "Row") -> str:
    """Return what a row is called, with the baseline that it is."""
    return row.what if row.baseline in (None, row.what) else f"{row.what} ({row.baseline})"
