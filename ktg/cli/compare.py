"""Defines `ktg compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg import api
from ktg.cli import options
from ktg.cli.screen import echo, make_console, print_json
from ktg.cli.tables import make_table
from ktg.wording import format_duration, format_percent

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog="Example: ktg compare quickstart digits-random -o compare.html")
@click.argument("experiments", metavar="EXPERIMENT...", nargs=-1, required=True)
@options.file("-o", "--output", help="Write the comparison as an HTML page, too.")
@options.tracking_uri
@options.as_json
def compare(
    experiments: tuple[str, ...], output: Path | None, tracking_uri: str, as_json: bool
) -> None:
    """Put the last searches of several experiments side by side: spaces, budgets, best graphs."""
    data = api.compare(*experiments, output=output, tracking_uri=tracking_uri)
    if as_json:
        print_json(data)
        return
    print_comparison(data, make_console(highlight=True))
    if output is not None:
        echo(f"\nwritten to {output}")


def print_comparison(data: dict[str, Any], console: "Console") -> None:
    """Print what searches found and cost, then in what their spaces differ."""
    from rich.text import Text

    figures = ("best", "alone", "trials", "stopped", "epochs", "training")
    table = make_table("experiment", *figures, title="Validation split", right=figures)
    for search in data["searches"]:
        cost, alone = search["cost"], search["alone"]
        name = Text(search["experiment"] + (" (unfinished)" if search["unfinished"] else ""))
        accuracies = format_percent(search["best"]["val_accuracy"]), alone and format_percent(alone)
        counts = [str(cost["trials"]), str(cost["states"].get("stopped", 0)), f"{cost['epochs']:,}"]
        table.add_row(
            name, *(text or "-" for text in accuracies), *counts, format_duration(cost["device_s"])
        )
    console.print(table)
    for search in data["searches"]:
        if search["of"] > 1:
            which = f"search {search['number']} of {search['of']}, begun {search['started']}"
            console.print(f"{search['experiment']}: {which}", markup=False, highlight=False)
    if not data["same_data"]:
        problem = "They did not choose by the same images: accuracies cannot be compared."
        console.print(problem, style="yellow")
    if not data["differences"]:
        console.print("Their spaces are equal.")
        return
    different = make_table("place", title="In what they differ", fold=("place",))
    for search in data["searches"]:
        different.add_column(Text(search["experiment"]), overflow="fold")
    for row in data["differences"]:
        different.add_row(Text(row["place"]), *(Text(value or "-") for value in row["values"]))
    console.print(different)
