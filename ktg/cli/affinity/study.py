"""`ktg affinity study`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg.cli.affinity.asked import asked
from ktg.cli.affinity.correlate import (
    checked_baselines,
    draw_correlations,
    folder,
    plain,
    print_correlations,
    written,
)
from ktg.cli.decoding import Decoding
from ktg.cli.options import (
    as_json,
    check_device,
    check_store,
    check_writable,
    print_json,
    tracking_uri,
    warner,
)
from ktg.errors import DataError, UserError

if TYPE_CHECKING:
    from rich.console import Console

    from ktg.affinity.correlation import Figures
    from ktg.affinity.study import Row, Target
    from ktg.affinity.table import Table


@click.command(epilog="Example: ktg affinity study birds.yaml flowers.yaml --seeds 3 -o study.csv")
@click.argument("spaces", nargs=-1, required=True)
@click.option(
    "--among",
    multiple=True,
    metavar="MODEL@SOURCE",
    help="A candidate; give several. Default: the search space's.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Trainings of each candidate.",
)
@click.option(
    "--sample",
    type=click.IntRange(2),
    default=2000,
    show_default=True,
    help="Training images to score by.",
)
@click.option(
    "--test",
    is_flag=True,
    help="Foretell accuracy on the test split, and not on the validation split.",
)
@click.option("--device", help="cpu, cuda, cuda:1; default: a GPU if there is one.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Write the table here, as CSV."
)
@click.option(
    "--plots", type=click.Path(path_type=Path), help="Draw every score into this folder, as SVG."
)
@tracking_uri
@as_json
def study(
    spaces: tuple[str, ...],
    among: tuple[str, ...],
    seeds: int,
    sample: int,
    test: bool,
    device: str | None,
    output: Path | None,
    plots: Path | None,
    tracking_uri: str,
    as_json: bool,
) -> None:
    """Fine-tune every candidate on the data of each of SPACES, score every candidate, and correlate the two.

    Each of SPACES is a search space or graph: its data, its recipe of training, and what its target
    can be. What was trained once is kept, so that a study goes on where it was interrupted.
    """
    targets = checked_targets(spaces, among)
    check_device(device)
    check_store(tracking_uri)
    if output:
        check_writable(output)
    into = folder(plots) if plots else None

    from rich.console import Console

    from ktg.affinity.record import EXPERIMENT
    from ktg.affinity.study import study as run
    from ktg.affinity.study import table_text
    from ktg.models.device import device_of
    from ktg.tracking import MlflowTracker

    console = Console(stderr=as_json, highlight=False)
    place = device_of(device)
    tracker = MlflowTracker(EXPERIMENT, tracking_uri, warn=warner(console))
    with tracker, Decoding(console) as decoding, console.status("Scoring") as status:
        parent = tracker.start(
            "study", params={"seeds": seeds, "test": test}, tags={"kind": "study"}
        )

        def show(what: str, done: int, total: int) -> None:
            status.update(f"{what}: epoch {done} of {total}")
            if done == total and not console.is_terminal:
                console.print(what, markup=False)

        rows = run(
            targets,
            seeds,
            tracker,
            parent,
            test=test,
            sample=sample,
            device=place,
            progress=show,
            decoding=decoding,
        )
        text = table_text(rows, test)
        tracker.artifact(parent, "table.csv", text)
        tracker.artifact(
            parent, "study.json", json.dumps([row.to_json() for row in rows], indent=1)
        )
        if output:
            output.write_text(text, encoding="utf-8")
        read, found, problem = correlated(text)
        drawings = (
            {}
            if read is None
            else draw_correlations(read, found, checked_baselines((), list(found)))
        )
        for name, content in drawings.items():
            tracker.artifact(parent, f"plots/{name}", content)
        drawn = written(drawings, into) if into else []
        tracker.end(parent, "failed" if read is None else "finished")
    if as_json:
        print_json({"rows": [row.to_json() for row in rows]} | summary(read, found))
    else:
        print_rows(rows, test, console)
        if read is not None:
            print_correlations(read, found, checked_baselines((), list(found)), "none")
        print_end(text, problem, output, console)
        if drawn:
            console.print(f"{len(drawn)} drawings in {into}", markup=False)


def checked_targets(spaces: tuple[str, ...], among: tuple[str, ...]) -> "list[Target]":
    """Return what is to be studied; raise UserError for a name that is given twice, and for too few candidates."""
    from ktg.affinity.study import Target
    from ktg.affinity.table import LEAST_ROWS

    targets = []
    for name in spaces:
        given = asked(name)
        if given.graph is None:
            raise UserError(f"{name}: says nothing of how to train; give a search space or a graph")
        candidates = given.among(among)
        if len(candidates) < LEAST_ROWS:
            problem = f"{len(candidates)} candidates; a correlation needs at least {LEAST_ROWS}"
            raise UserError(
                f"{name}: {problem}: give them as options of the target's source, or with --among"
            )
        targets.append(Target(Path(name).stem, given.graph, candidates))
    names = [target.name for target in targets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(
            f"{twice}: two files of this name; the rows of the table could not be told apart"
        )
    return targets


def correlated(text: str) -> "tuple[Table | None, dict[str, Figures], str]":
    """Return the table in CSV text, its figures, and why there are none."""
    from ktg.affinity.correlation import correlate
    from ktg.affinity.table import parse_table

    groups = {line.partition(",")[0] for line in text.splitlines() if not line.startswith("#")} - {
        "dataset"
    }
    try:
        read = parse_table(text, "the study", group="dataset" if len(groups) > 1 else None)
    except DataError as error:
        return None, {}, str(error)
    return read, correlate(read), ""


def summary(read: "Table | None", found: "dict[str, Figures]") -> dict[str, Any]:
    """Return the correlations as `correlate --json` has them."""
    if read is None:
        return {"scores": {}}
    return plain(
        read, found, checked_baselines((), list(found)), "none", "dataset" if read.groups else None
    )


def print_rows(rows: "list[Row]", test: bool, console: "Console") -> None:
    """Print the accuracy of each candidate, the best of each data set first."""
    import statistics

    from rich.box import SIMPLE_HEAD
    from rich.table import Table as Grid

    split = "test" if test else "validation"
    shown = Grid(
        title=f"Accuracy after fine-tuning ({split} split)", title_justify="left", box=SIMPLE_HEAD
    )
    for column in ("data", "candidate", "mean", "std", "n"):
        shown.add_column(
            column, justify="left" if column in ("data", "candidate") else "right", overflow="fold"
        )
    datasets = list(dict.fromkeys(row.dataset for row in rows))
    trained = [(row, row.accuracies(test)) for row in rows if row.failed is None]
    for row, values in sorted(
        trained, key=lambda one: (datasets.index(one[0].dataset), -statistics.fmean(one[1]))
    ):
        spread = f"{100 * statistics.stdev(values):.2f}" if len(values) > 1 else "-"
        mean = f"{100 * statistics.fmean(values):.2f} %"
        shown.add_row(row.dataset, row.candidate.name, mean, spread, str(len(values)))
    console.print(shown)


def print_end(text: str, problem: str, output: Path | None, console: "Console") -> None:
    """Print what was left out, and where the table is."""
    for line in text.splitlines():
        if line.startswith("# ") and "left out" in line:
            console.print(line.removeprefix("# ") + ".", markup=False)
    if problem:
        console.print(f"No correlation: {problem}", style="yellow", markup=False)
    if output:
        console.print(
            f"The table is {output}; `ktg affinity correlate {output}` reads it.",
            markup=False,
            soft_wrap=True,
        )
