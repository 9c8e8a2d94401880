"""Defines `ktg compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg import api
from ktg.cli.options import A_FILE, as_json, print_json, tracking_uri
from ktg.wording import format_duration, format_percent

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog="Example: ktg compare quickstart digits-random -o compare.html")
@click.argument("experiments", metavar="EXPERIMENT...", nargs=-1, required=True)
@click.option("-o", "--output", type=A_FILE, help="Write the comparison as an HTML page, too.")
@tracking_uri
@as_json
def compare(
    experiments: tuple[str, ...], output: Path | None, tracking_uri: str, as_json: bool
) -> None:
    """Put the last searches of several experiments side by side: spaces, budgets, best graphs."""
    data = api.compare(*experiments, output=output, tracking_uri=tracking_uri)
    if as_json:
        print_json(data)
        return
    from rich.console import Console

    print_comparison(data, Console())
    if output is not None:
        click.echo(f"\nwritten to {output}")


def print_comparison(data: dict[str, Any], console: "Console") -> None:
    """Print what searches found and cost, then in what their spaces differ."""
    from rich.table import Table
    from rich.text import Text

    table = Table("experiment", title="Validation split", title_justify="left")
    for column in ("best", "alone", "trials", "stopped", "epochs", "training"):
        table.add_column(column, justify="right")
    for search in data["searches"]:
        cost, alone = search["cost"], search["alone"]
        name = Text(search["experiment"] + (" (unfinished)" if search["unfinished"] else ""))
        accuracies = format_percent(search["best"]["val_accuracy"]), alone and format_percent(alone)
        counts = [str(cost["trials"]), str(cost["states"].get("stopped", 0)), f"{cost['epochs']:,}"]
        table.add_row(
            name, *(text or "-" for text in accuracies), *counts, format_duration(cost["device_s"])
        )
    console.print(table)
    if not data["same_data"]:
        problem = "They did not choose by the same images: accuracies cannot be compared."
        console.print(problem, style="yellow")
    if not data["differences"]:
        console.print("Their spaces are equal.")
        return
    different = Table(title="In what they differ", title_justify="left")
    different.add_column("place", overflow="fold")
    for search in data["searches"]:
        different.add_column(Text(search["experiment"]), overflow="fold")
    for row in data["differences"]:
        different.add_row(Text(row["place"]), *(Text(value or "-") for value in row["values"]))
    console.print(different)
