"""Defines `ktg compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg import api
from ktg.cli import options
from ktg.cli.screen import echo, make_console, print_json
from ktg.cli.tables import make_table
from ktg.wording import format_duration

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
    figures = ("best", "alone", "trials", "stopped", "epochs", "training")
    metrics = {search["best"]["level"]["words"] for search in data["searches"]}
    by = f", {', '.join(metrics)}" if len(metrics) == 1 else ""
    title = f"Validation split{by}; (n): mean of n new seeds, else one training"
    table = make_table(
        "experiment", *figures, title=title, right=figures, fold=("experiment",), whole=figures
    )
    for search in data["searches"]:
        cost, best, alone = search["cost"], search["best"]["level"], search["alone_level"]
        also = [f"by {best['words']}"] * (len(metrics) > 1) + ["unfinished"] * search["unfinished"]
        name = search["experiment"] + (f" ({', '.join(also)})" if also else "")
        counts = [str(cost["trials"]), str(cost["states"].get("stopped", 0)), f"{cost['epochs']:,}"]
        scores = [format_level(best), "-" if alone is None else format_level(alone)]
        table.add_row(name, *scores, *counts, format_duration(cost["device_s"]))
    console.print(table)
    for search in data["searches"]:
        if search["of"] > 1:
            which = f"search {search['number']} of {search['of']}, begun {search['started']}"
            console.print(f"{search['experiment']}: {which}", highlight=False)
    if not data["same_data"]:
        problem = "They did not choose by the same images: accuracies cannot be compared."
        console.print(problem, style="yellow")
    if len(metrics) > 1:
        problem = "They did not choose by the same metric: their scores cannot be compared."
        console.print(problem, style="yellow")
    if not data["differences"]:
        console.print("Their spaces are equal.")
        return
    different = make_table("place", title="In what they differ", fold=("place",))
    for search in data["searches"]:
        different.add_column(search["experiment"], overflow="fold")
    for row in data["differences"]:
        different.add_row(row["place"], *(value or "-" for value in row["values"]))
    console.print(different)


def format_level(level: dict[str, Any]) -> str:
    """Return a score, with the number of its trainings where these have new seeds.

    >>> format_level({"text": "89.50 %", "n": 3}), format_level({"text": "90.00 %", "n": 0})
    ('89.50 % (3)', '90.00 %')
    """
    return f"{level['text']} ({level['n']})" if level["n"] else str(level["text"])
