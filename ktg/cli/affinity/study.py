"""Defines `ktg affinity study`."""

import shlex
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.api.study import run_study
from ktg.cli import options
from ktg.cli.affinity.correlate import print_correlations
from ktg.cli.screen import Screen, print_json
from ktg.cli.tables import make_table

if TYPE_CHECKING:
    from rich.table import Table

    from ktg.api.study import StudyRow


@click.command(epilog="Example: ktg affinity study birds.yaml flowers.yaml --seeds 3 -o study.csv")
@click.argument("spaces", nargs=-1, required=True)
@options.among
@options.count("--seeds", 3, "Trainings of each candidate.")
@options.count("--sample", 2000, "Training images to score by.", least=2)
@options.flag("--test", help="Predict accuracy on the test split instead of the validation split.")
@options.device
@options.file("-o", "--output", help="Write the table here, as CSV.")
@options.file("--plots", help="Draw every score into this folder, as SVG.")
@options.tracking_uri
@options.as_json
def study(
    spaces: tuple[str, ...],
    test: bool,
    output: Path | None,
    plots: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Score and fine-tune every candidate on the data of each of SPACES, and correlate the two.

    Each of SPACES is a search space or graph: its data, its recipe of training, and what its target
    can be. What was trained once is kept, so that a study goes on where it was interrupted.
    """
    given |= {"test": test, "output": output, "plots": plots}
    with Screen(stderr=as_json) as screen:
        screen.status("Scoring")

        def show(what: str, done: int, total: int) -> None:
            screen.status(f"{what}: epoch {done} of {total}")
            if done == total and not screen.console.is_terminal:
                screen.console.print(what)

        found = run_study(*spaces, listener=screen.listener, progress=show, **given)
    if as_json:
        print_json(found.to_json())
        return
    screen.console.print(draw_rows(found.rows, test))
    if found.correlations is not None:
        print_correlations(found.correlations)
    for line in found.text.splitlines():
        if line.startswith("# ") and "left out" in line:
            screen.console.print(line.removeprefix("# ") + ".")
    if found.problem:
        screen.console.print(f"No correlation: {found.problem}", style="yellow")
    if output:
        read = shlex.join(["ktg", "affinity", "correlate", str(output)])
        screen.say(f"The table is {output}; `{read}` reads it.")
    if plots and found.correlations is not None:
        drawn = len(found.correlations.figures) + 1
        screen.console.print(f"{drawn} drawings in {plots}")


def draw_rows(rows: "list[StudyRow]", test: bool) -> "Table":
    """Return the accuracy of each candidate, the best of each data set first."""
    title = f"Accuracy after fine-tuning ({'test' if test else 'validation'} split)"
    figures = ("mean", "std", "n")
    columns = ("data", "candidate", *figures)
    table = make_table(*columns, title=title, right=figures, fold=columns, simple=True)
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    trained = [(row, row.accuracies(test)) for row in rows if row.failed is None]
    trained.sort(key=lambda one: (datasets.index(one[0].dataset), -statistics.fmean(one[1])))
    for row, values in trained:
        spread = f"{100 * statistics.stdev(values):.2f}" if len(values) > 1 else "-"
        mean = f"{100 * statistics.fmean(values):.2f} %"
        table.add_row(row.dataset, row.candidate.name, mean, spread, str(len(values)))
    return table
