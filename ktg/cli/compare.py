"""`ktg compare`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.cli.options import as_json, check_writable, percent, print_json, tracking_uri
from ktg.cli.report import write_page
from ktg.errors import UserError, show

if TYPE_CHECKING:
    from rich.console import Console


@click.command(epilog="Example: ktg compare quickstart digits-random -o compare.html")
@click.argument("experiments", metavar="EXPERIMENT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write the comparison as an HTML page, too.",
)
@tracking_uri
@as_json
def compare(
    experiments: tuple[str, ...], output: Path | None, tracking_uri: str, as_json: bool
) -> None:
    """Put the last searches of several experiments side by side: spaces, budgets, best graphs."""
    check_several(experiments)
    if output is not None:
        check_writable(output)

    from rich.console import Console

    from ktg.reporting.compare import compare as make
    from ktg.reporting.page import compare_page
    from ktg.reporting.record import read_search
    from ktg.tracking import find_experiment

    data = make([read_search(find_experiment(name, tracking_uri)) for name in experiments])
    if output is not None:
        write_page(output, compare_page(data))
    if as_json:
        print_json(data)
        return
    print_comparison(data, Console())
    if output is not None:
        click.echo(f"\nwritten to {output}")


def print_comparison(data: dict[str, Any], console: "Console") -> None:
    """Print what searches found and cost, then in what their spaces differ."""
    from rich.table import Table
    from rich.text import Text

    from ktg.searching.progress import duration

    table = Table("experiment", title="Validation split", title_justify="left")
    for column in ("best", "alone", "trials", "stopped", "epochs", "training"):
        table.add_column(column, justify="right")
    for search in data["searches"]:
        cost, alone = search["cost"], search["alone"]
        name = Text(search["experiment"] + (" (unfinished)" if search["unfinished"] else ""))
        figures = [
            percent(search["best"]["val_accuracy"]),
            "-" if alone is None else percent(alone),
        ]
        counts = [str(cost["trials"]), str(cost["states"].get("stopped", 0)), f"{cost['epochs']:,}"]
        table.add_row(name, *figures, *counts, duration(cost["device_s"]))
    console.print(table)
    if not data["same_data"]:
        console.print(
            "They did not choose by the same images: accuracies cannot be compared.", style="yellow"
        )
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


def check_several(experiments: tuple[str, ...]) -> None:
    """Raise UserError for fewer than two experiments, and for one that is named twice."""
    twice = [name for place, name in enumerate(experiments) if name in experiments[:place]]
    if twice:
        raise UserError(f"compare: {show(twice[0])} is given twice")
    if len(experiments) < 2:
        raise UserError("compare: at least two experiments are needed; `ktg report` shows one")
