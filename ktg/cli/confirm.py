"""Defines `ktg confirm`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktg import api
from ktg.cli.options import (
    address,
    as_json,
    count,
    print_json,
    storage,
    tracking_uri,
)
from ktg.cli.screen import Screen
from ktg.wording import format_percent

if TYPE_CHECKING:
    from rich.table import Table

    from ktg.api.confirm import Confirmation


@click.command(epilog="Example: ktg confirm quickstart --seeds 10")
@click.argument("experiment")
@count("--top", 1, "How many of the best graphs, by validation.")
@count("--seeds", 5, "Trainings of each graph.", least=2)
@address
@storage
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
    """Train EXPERIMENT's best graphs and baselines again, with new seeds, and compare their tests.

    They are trained on the training and validation splits, in the slots that the search gave its
    trials, and scored on the test split, which no choice has seen. Says whether the best graph is
    better than each baseline, with 95 % intervals. What an earlier call has finished is not trained
    again.
    """
    with Screen(stderr=as_json) as screen:

        def show(confirmation: "Confirmation") -> None:
            if as_json:
                print_json(confirmation.to_json())
            else:
                print_confirmation(confirmation, screen)

        api.confirm(
            experiment,
            top=top,
            seeds=seeds,
            address=address,
            storage=storage,
            tracking_uri=tracking_uri,
            listener=screen.listener,
            on_confirmation=show,
        )


def print_confirmation(confirmation: "Confirmation", screen: Screen) -> None:
    """Print the graphs on the test split, the differences to the baselines, and the sentence."""
    from rich.table import Table

    table = Table(title="Test split, mean over seeds", title_justify="left")
    for column in ("", "accuracy", "std", "seeds", "trial"):
        table.add_column(column, justify="left" if column in ("", "trial") else "right")
    for row in confirmation.rows:
        name = row.what if row.baseline in (None, row.what) else f"{row.what} ({row.baseline})"
        mean, std = (
            "-" if value is None else format_percent(value) for value in (row.mean, row.std)
        )
        style = "bold" if row is confirmation.rows[0] else None
        table.add_row(name, mean, std, str(len(row.runs)), row.trial, style=style)
    screen.console.print(table)
    if confirmation.differences:
        screen.console.print(draw_differences(confirmation))
    for row in confirmation.rows:
        for seed, reason in row.failures.items():
            screen.warn(f"{row.what}, seed {seed} failed: {reason}")
    for text in (confirmation.sentence, confirmation.basis):
        screen.console.print(text, markup=False, highlight=False)
    if any(row.failures for row in confirmation.rows):
        settings = ["--top", str(confirmation.top), "--seeds", str(len(confirmation.seeds))]
        again = shlex.join(["ktg", "confirm", confirmation.experiment, *settings])
        screen.say(f"To try again what failed: {again}")


def draw_differences(confirmation: "Confirmation") -> "Table":
    """Return the table of all differences, in points."""
    from rich.table import Table

    table = Table(title="Differences in points", title_justify="left")
    for column in ("", "minus", "points", "95 % interval", ""):
        right = column in ("points", "95 % interval")
        table.add_column(column, justify="right" if right else "left")
    for each in confirmation.differences:
        mean = "-" if each.difference is None else f"{100 * each.difference:+.2f}"
        ends = [f"{100 * end:+.2f}" for end in each.interval or ()]
        table.add_row(each.of, each.against, mean, " to ".join(ends) or "-", each.verdict)
    return table
