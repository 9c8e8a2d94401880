"""Defines `ktg affinity study`."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.api.study import run_study
from ktg.cli.affinity.correlate import print_correlations
from ktg.cli.options import (
    A_FILE,
    among,
    as_json,
    count,
    device,
    print_json,
    tracking_uri,
)
from ktg.cli.screen import Screen

if TYPE_CHECKING:
    from rich.table import Table

    from ktg.api.study import Row


@click.command(epilog="Example: ktg affinity study birds.yaml flowers.yaml --seeds 3 -o study.csv")
@click.argument("spaces", nargs=-1, required=True)
@among
@count("--seeds", 3, "Trainings of each candidate.")
@count("--sample", 2000, "Training images to score by.", least=2)
@click.option(
    "--test",
    is_flag=True,
    help="Foretell accuracy on the test split, and not on the validation split.",
)
@device
@click.option("-o", "--output", type=A_FILE, help="Write the table here, as CSV.")
@click.option("--plots", type=A_FILE, help="Draw every score into this folder, as SVG.")
@tracking_uri
@as_json
def study(
    spaces: tuple[str, ...],
    test: bool,
    output: Path | None,
    plots: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Score and fine-tune every candidate on the data of each of SPACES, and correlate the two.

    Each of SPACES is a search space or graph: its data, its recipe of training, and what its target
    can be. What was trained once is kept, so that a study goes on where it was interrupted.
    """
    options |= {"test": test, "output": output, "plots": plots}
    with Screen(stderr=as_json) as screen:
        screen.status("Scoring")

        def show(what: str, done: int, total: int) -> None:
            screen.status(f"{what}: epoch {done} of {total}")
            if done == total and not screen.console.is_terminal:
                screen.console.print(what, markup=False)

        found = run_study(*spaces, listener=screen.listener, progress=show, **options)
    if as_json:
        print_json(found.to_json())
        return
    screen.console.print(draw_rows(found.rows, test))
    if found.correlations is not None:
        print_correlations(found.correlations)
    for line in found.text.splitlines():
        if line.startswith("# ") and "left out" in line:
            screen.console.print(line.removeprefix("# ") + ".", markup=False)
    if found.problem:
        screen.console.print(f"No correlation: {found.problem}", style="yellow", markup=False)
    if output:
        screen.say(f"The table is {output}; `ktg affinity correlate {output}` reads it.")
    if plots and found.correlations is not None:
        drawn = len(found.correlations.figures) + 1
        screen.console.print(f"{drawn} drawings in {plots}", markup=False)


def draw_rows(rows: "list[Row]", test: bool) -> "Table":
    """Return the accuracy of each candidate, the best of each data set first."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    title = f"Accuracy after fine-tuning ({'test' if test else 'validation'} split)"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ("data", "candidate", "mean", "std", "n"):
        left = column in ("data", "candidate")
        table.add_column(column, justify="left" if left else "right", overflow="fold")
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    trained = [(row, row.accuracies(test)) for row in rows if row.failed is None]
    trained.sort(key=lambda one: (datasets.index(one[0].dataset), -statistics.fmean(one[1])))
    for row, values in trained:
        spread = f"{100 * statistics.stdev(values):.2f}" if len(values) > 1 else "-"
        mean = f"{100 * statistics.fmean(values):.2f} %"
        table.add_row(row.dataset, row.candidate.name, mean, spread, str(len(values)))
    return table
