"""Defines `ktg report`."""

from pathlib import Path

import click

from ktg import api
from ktg.cli import options
from ktg.cli.screen import Screen, echo, print_json
from ktg.wording import count


@click.command(epilog="Example: ktg report quickstart -o report.html")
@click.argument("experiment")
@click.option("-o", "--output", type=options.A_FILE, default="report.html", show_default=True)
@click.option(
    "--retrain/--no-retrain",
    default=None,
    help="Train the best graph again to see its mistakes; default: if that takes under a minute.",
)
@options.tracking_uri
@options.as_json
@click.pass_context
def report(
    context: click.Context,
    experiment: str,
    output: Path,
    retrain: bool | None,
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Write a page about EXPERIMENT's last search: one HTML file that needs no network.

    With --json, print its numbers and write the page only where -o is given.
    """
    default = context.get_parameter_source("output") is click.core.ParameterSource.DEFAULT
    screen = Screen(stderr=as_json)

    def show(epoch: int, epochs: int) -> None:
        if epoch == 1:
            what = "training the best graph again for its mistakes"
            screen.console.print(f"{what} ({epochs} epochs)")

    data = api.report(
        experiment,
        None if as_json and default else output,
        retrain=retrain,
        tracking_uri=tracking_uri,
        listener=screen.listener,
        on_epoch=show,
    )
    if as_json:
        print_json(data)
        return
    best, level = data["best"]["trial"], data["best"]["level"]
    found = f"best {best}, validation {level['words']} {level['text']} ({level['basis']})"
    echo(f"{output}: {count(data['cost']['trials'], 'trial')}, {found}")
