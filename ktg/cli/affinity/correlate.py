"""Defines `ktg affinity correlate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.api.inputs import make_folder
from ktg.api.study import TAU_RANKS, correlate_table, write_drawings
from ktg.cli import options
from ktg.cli.affinity.figures import format_figure, label_score
from ktg.cli.screen import Screen, echo, print_json
from ktg.cli.tables import make_table
from ktg.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ktg.api.study import Correlations, ScoreCorrelation

# Without room at the edges, or figures would be cut at 80 columns.
_TIGHT: dict[str, Any] = {"simple": True, "collapse_padding": True, "pad_edge": False}
_GROUP_WIDTH = 8
_TAU = {
    "score": "by score",
    "accuracy": "by accuracy",
    "none": "the mean of those by score and by accuracy",
}


@click.command(epilog="Example: ktg affinity correlate results.csv --group dataset -o plots")
@click.argument("table", type=options.A_FILE)
@click.option("--accuracy", help="Column of the accuracy; default: accuracy, acc or test_accuracy.")
@click.option(
    "--group", help="Column that names the data set of a row: figures for each, and their means."
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    help="Column that a score should beat; default: those known as such.",
)
@click.option(
    "--tau-rank",
    type=click.Choice(TAU_RANKS),
    default="none",
    show_default=True,
    help="Weigh models in the weighted tau by their rank by score, by accuracy, or neither (the "
    "mean of both).",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the bootstrap."
)
@options.flag("--each", help="With --group: also print Spearman's correlation in each group.")
@options.file("-o", "--output", help="Draw every score into this folder, as SVG.")
@options.as_json
def correlate(
    table: Path, group: str | None, each: bool, output: Path | None, as_json: bool, **given: Any
) -> None:
    """Say how well each score column of TABLE, a CSV with a row for each model, predicts accuracy.

    Every column of numbers but the accuracy is a score. Lines that start with # are comments.
    """
    found = correlate_table(table, group=group, **given)
    if each and group is None:
        raise UserError("--each: there are groups only with --group COLUMN")
    drawn = write_drawings(found.draw(), make_folder(output)) if output else []
    if as_json:
        print_json(found.to_json() | {"plots": [str(path) for path in drawn]})
        return
    print_correlations(found)
    if each:
        print_groups(found.figures)
    if drawn:
        echo(f"{len(drawn)} drawings in {output}")


def print_correlations(found: "Correlations") -> None:
    """Print the figures, the best score in its intended direction first."""
    read, console = found.table, Screen().console
    groups, rows = len(read.rows_by_group()), f"{len(read.accuracy)} rows"
    what = rows if groups == 1 else f"means over {groups} groups, {rows}"
    title = f"Correlation with {read.accuracy_name}: {what}"
    columns = ("score", "Spearman", "95 %", "weighted\ntau", "Kendall", "Pearson", "regret")
    table = make_table(*columns, title=title, right=columns[1:], whole=columns, **_TIGHT)
    against = []
    for name, figures, strength in found.by_strength():
        against += [name] if strength < 0 and figures.spearman is not None else []
        style = "bold yellow" if name in found.baselines else None
        table.add_row(label_score(name), *format_figures(figures), style=style)
    console.print(table)
    meant = "whether a larger or a smaller score is meant to be better"
    lost = "lost by taking the model that the score puts first"
    console.print(f"Arrows: {meant}. 95 %: bootstrap over models.")
    console.print(f"Weighted tau: hyperbolic weights by rank, {_TAU[found.tau_rank]}.")
    console.print(f"Regret: {read.accuracy_name} {lost}.")
    constant = [name for name, figures in found.figures.items() if figures.spearman is None]
    if constant:
        console.print(f"Undefined, because the column is constant: {', '.join(constant)}.")
    if against:
        console.print(f"Against the intended direction: {', '.join(against)}.")
    for name, (number, of) in found.beaten_by().items():
        console.print(f"{name}, a baseline, beats {number} of {of} scores.")


def print_groups(found: "Mapping[str, ScoreCorrelation]") -> None:
    """Print Spearman's correlation of each score in each group, as many groups as there is room."""
    console = Screen().console
    groups = list(next(iter(found.values())).groups or {})
    widest = max(len(label_score(name)) for name in found)
    fitting = max((console.width - widest - 2) // (_GROUP_WIDTH + 2), 1)
    for start in range(0, len(groups), fitting):
        part = groups[start : start + fitting]
        title = None if start else "Spearman in each group"
        table = make_table("score", title=title, whole=("score",), **_TIGHT)
        for group in part:
            table.add_column(group, justify="right", overflow="fold", width=_GROUP_WIDTH)
        for name, figures in found.items():
            own = figures.groups or {}
            table.add_row(label_score(name), *(format_figure(own[g].spearman) for g in part))
        console.print(table)


def format_figures(figures: "ScoreCorrelation") -> list[str]:
    """Return the figures of one score as text."""
    ends = figures.interval
    interval = f"{ends[0]:.2f}..{ends[1]:.2f}" if ends else "-"
    rest = (figures.weighted_tau, figures.kendall, figures.pearson, figures.regret)
    return [format_figure(figures.spearman), interval, *map(format_figure, rest)]
