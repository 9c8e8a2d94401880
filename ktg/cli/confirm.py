"""Defines `ktg confirm`."""

import shlex
from typing import TYPE_CHECKING, Any

import click

from ktg import api
from ktg.api.inputs import name_places
from ktg.cli import options
from ktg.cli.screen import Screen, print_json
from ktg.cli.tables import make_table
from ktg.wording import format_percent

if TYPE_CHECKING:
    from rich.table import Table

    from ktg.api.confirm import Confirmation


@click.command(epilog="Example: ktg confirm quickstart --seeds 10")
@click.argument("experiment")
@options.count("--top", 1, "How many of the best graphs, by validation.")
@options.count("--seeds", 5, "Trainings of each graph.", least=2)
@options.address
@options.storage
@options.tracking_uri
@options.as_json
def confirm(experiment: str, as_json: bool, **given: Any) -> None:
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
                places = {name: given[name] for name in ("address", "storage")}
                print_confirmation(confirmation, screen, given["tracking_uri"], **places)

        api.confirm(experiment, listener=screen.listener, on_confirmation=show, **given)


def print_confirmation(
    confirmation: "Confirmation", screen: Screen, uri: str, **places: Any
) -> None:
    """Print the graphs on the test split, the differences to the baselines, and the sentence.

    uri, places: of the store, and what else the command must be given that tries again what failed.
    """
    figures = (confirmation.measure, "std", "seeds")
    table = make_table("", *figures, "trial", title="Test split, mean over seeds", right=figures)
    for row in confirmation.rows:
        name = row.what if row.baseline in (None, row.what) else f"{row.what} ({row.baseline})"
        mean, std = (
            "-" if value is None else format_percent(value) for value in (row.score, row.score_std)
        )
        style = "bold" if row is confirmation.rows[0] else None
        table.add_row(name, mean, std, str(len(row.runs)), row.trial, style=style)
    screen.console.print(table)
    if confirmation.differences:
        screen.console.print(draw_differences(confirmation))
    for row in confirmation.rows:
        for seed, reason in row.failures.items():
            screen.warn(f"{row.what}, seed {seed} failed: {reason}")
    said = [confirmation.sentence, confirmation.basis]
    said += [each.sentence for each in (confirmation.teacher, confirmation.ship) if each]
    for text in said:
        screen.console.print(text, highlight=False)
    if any(row.failures for row in confirmation.rows):
        settings = ["--top", str(confirmation.top), "--seeds", str(len(confirmation.seeds))]
        words = ["ktg", "confirm", confirmation.experiment, *settings, *name_places(uri, **places)]
        again = shlex.join(words)
        screen.say(f"To try again what failed: {again}")


def draw_differences(confirmation: "Confirmation") -> "Table":
    """Return the table of all differences, in points."""
    figures = ("points", "95 % interval")
    title = f"Differences in points of {confirmation.measure}"
    table = make_table("", "minus", *figures, "", title=title, right=figures)
    for each in confirmation.differences:
        mean = "-" if each.difference is None else f"{100 * each.difference:+.2f}"
        ends = [f"{100 * end:+.2f}" for end in each.interval or ()]
        table.add_row(each.of, each.against, mean, " to ".join(ends) or "-", each.verdict)
    return table
