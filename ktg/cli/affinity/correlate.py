"""`ktg affinity correlate`."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ktg.cli.affinity.figures import labelled, number
from ktg.cli.options import as_json, print_json
from ktg.errors import UserError
from ktg.graph.score_names import TauRank

if TYPE_CHECKING:
    from ktg.affinity.correlation import Figures
    from ktg.affinity.table import Table

# Without room at the edges, or figures would be cut at 80 columns.
_TIGHT: dict[str, Any] = {"title_justify": "left", "collapse_padding": True, "pad_edge": False}
_GROUP_WIDTH = 8
_TAU = {
    "score": "by score",
    "accuracy": "by accuracy",
    "none": "the mean of those by score and by accuracy",
}


@click.command(epilog="Example: ktg affinity correlate results.csv --group dataset -o plots")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--accuracy", help="Column of the accuracy; default: accuracy, acc or test_accuracy.")
@click.option(
    "--group", help="Column that names the data set of a row: figures for each, and their means."
)
@click.option(
    "--baseline",
    multiple=True,
    help="Column that a score should beat; default: those known as such.",
)
@click.option(
    "--tau-rank",
    type=click.Choice(get_args(TauRank)),
    default="none",
    show_default=True,
    help="Weigh models in the weighted tau by their rank by score, by accuracy, or neither (the mean of both).",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the bootstrap."
)
@click.option(
    "--each", is_flag=True, help="With --group: also print Spearman's correlation in each group."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Draw every score into this folder, as SVG.",
)
@as_json
def correlate(
    table: Path,
    accuracy: str | None,
    group: str | None,
    baseline: tuple[str, ...],
    tau_rank: TauRank,
    seed: int,
    each: bool,
    output: Path | None,
    as_json: bool,
) -> None:
    """Say how well each score column of TABLE, a CSV with a row for each model, foretells accuracy.

    Every column of numbers but the accuracy is a score. Lines that start with # are comments.
    """
    from ktg.affinity.correlation import correlate as run
    from ktg.affinity.table import read_table

    read = read_table(table, accuracy, group)
    if each and group is None:
        raise UserError("--each: there are groups only with --group COLUMN")
    found = run(read, tau_rank, seed)
    baselines = checked_baselines(baseline, list(found))
    drawn = written(draw_correlations(read, found, baselines), folder(output)) if output else []
    if as_json:
        print_json(
            plain(read, found, baselines, tau_rank, group)
            | {"plots": [str(path) for path in drawn]}
        )
        return
    print_correlations(read, found, baselines, tau_rank)
    if each:
        print_groups(found)
    if drawn:
        click.echo(f"{len(drawn)} drawings in {output}")


def plain(
    read: "Table",
    found: "dict[str, Figures]",
    baselines: list[str],
    tau_rank: TauRank,
    group: str | None,
) -> dict[str, Any]:
    """Return all figures, and how many scores each baseline beats, as plain data."""
    beats = {
        name: {"beats": count, "of": of}
        for name, (count, of) in beaten_by(found, baselines).items()
    }
    return {
        "accuracy": read.accuracy_name,
        "group": group,
        "tau_rank": tau_rank,
        "baselines": beats,
        "scores": {name: figures.to_json() for name, figures in found.items()},
    }


def beaten_by(found: "dict[str, Figures]", baselines: list[str]) -> dict[str, tuple[int, int]]:
    """Return how many scores each baseline beats, and of how many."""
    from ktg.affinity.correlation import beaten

    return {
        name: beaten(found, name, baselines)
        for name in baselines
        if found[name].spearman is not None
    }


def checked_baselines(given: tuple[str, ...], columns: list[str]) -> list[str]:
    """Return the columns that are baselines. Raises UserError for one that is not there."""
    from ktg.affinity.correlation import BASELINES

    for name in given:
        if name not in columns:
            raise UserError(
                f"--baseline: there is no score column {name!r}; columns: {', '.join(columns)}"
            )
    return list(given) or [name for name in columns if name.lower() in BASELINES]


def folder(path: Path) -> Path:
    """Return a folder for output, made if it is not there. Raises UserError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: cannot be made a folder for drawings: {error.strerror}") from None
    return path


def draw_correlations(
    read: "Table", found: "dict[str, Figures]", baselines: list[str]
) -> dict[str, bytes]:
    """Return a drawing of each score and one of all, by the names of their files."""
    from ktg.affinity.plots import correlations, scatter

    drawings = {name: scatter(read, name, figures) for name, figures in found.items()}
    drawings["correlations"] = correlations(found, baselines)
    return {re.sub(r"[^\w.-]", "_", name) + ".svg": content for name, content in drawings.items()}


def written(drawings: Mapping[str, bytes], into: Path) -> list[Path]:
    """Write drawings into a folder, and return their paths."""
    for name, content in drawings.items():
        (into / name).write_bytes(content)
    return [into / name for name in drawings]


def print_correlations(
    read: "Table", found: dict[str, "Figures"], baselines: list[str], tau_rank: TauRank
) -> None:
    """Print the figures, the best score in its intended direction first."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid

    from ktg.affinity.correlation import oriented

    groups = len(read.parts())
    what = (
        f"{len(read.accuracy)} rows"
        if groups == 1
        else f"means over {groups} groups, {len(read.accuracy)} rows"
    )
    shown = Grid(title=f"Correlation with {read.accuracy_name}: {what}", box=SIMPLE_HEAD, **_TIGHT)
    shown.add_column("score", no_wrap=True)
    for column in ("Spearman", "95 %", "weighted\ntau", "Kendall", "Pearson", "regret"):
        shown.add_column(column, justify="right", no_wrap=True)
    against = []
    for name in sorted(found, key=lambda name: -oriented(name, found[name])):
        figures = found[name]
        against += [name] if oriented(name, figures) < 0 and figures.spearman is not None else []
        shown.add_row(
            labelled(name), *cells(figures), style="bold yellow" if name in baselines else None
        )
    console = Console(highlight=False)
    console.print(shown)
    for line in (
        "Arrows: whether a larger or a smaller score is meant to be better. 95 %: bootstrap over models.",
        f"Weighted tau: hyperbolic weights by rank, {_TAU[tau_rank]}.",
        f"Regret: {read.accuracy_name} lost by taking the model that the score puts first.",
    ):
        console.print(line)
    constant = [name for name, figures in found.items() if figures.spearman is None]
    if constant:
        console.print(f"Undefined, because the column is constant: {', '.join(constant)}.")
    if against:
        console.print(f"Against the intended direction: {', '.join(against)}.")
    for name, (count, of) in beaten_by(found, baselines).items():
        console.print(f"{name}, a baseline, beats {count} of {of} scores.")


def print_groups(found: "dict[str, Figures]") -> None:
    """Print Spearman's correlation of each score in each group, as many groups beside each other as there is room."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as Grid

    console = Console(highlight=False)
    groups = list(next(iter(found.values())).groups or {})
    widest = max(len(labelled(name)) for name in found)
    fitting = max((console.width - widest - 2) // (_GROUP_WIDTH + 2), 1)
    for start in range(0, len(groups), fitting):
        shown = Grid(title=None if start else "Spearman in each group", box=SIMPLE_HEAD, **_TIGHT)
        shown.add_column("score", no_wrap=True)
        for group in groups[start : start + fitting]:
            shown.add_column(group, justify="right", overflow="fold", width=_GROUP_WIDTH)
        for name, figures in found.items():
            own = figures.groups or {}
            shown.add_row(
                labelled(name),
                *(number(own[group].spearman) for group in groups[start : start + fitting]),
            )
        console.print(shown)


def cells(figures: "Figures") -> list[str]:
    """Return the figures of one score as text."""
    interval = figures.interval
    values = (figures.weighted_tau, figures.kendall, figures.pearson, figures.regret)
    return [
        number(figures.spearman),
        f"{interval[0]:.2f}..{interval[1]:.2f}" if interval else "-",
        *(number(value) for value in values),
    ]
