"""`ktg report`."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ktg.cli.options import as_json, check_writable, percent, print_json, tracking_uri, warner
from ktg.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from ktg.reporting.mistakes import Epochs

ARTIFACT = "report.html"
MOST_TRIALS = 300


@click.command(epilog="Example: ktg report quickstart -o report.html")
@click.argument("experiment")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default="report.html", show_default=True
)
@click.option(
    "--retrain/--no-retrain",
    default=None,
    help="Train the best graph again to see its mistakes; default: if that takes under a minute.",
)
@tracking_uri
@as_json
def report(
    experiment: str, output: Path, retrain: bool | None, tracking_uri: str, as_json: bool
) -> None:
    """Write a page about EXPERIMENT's last search: one HTML file that needs no network.

    With --json, print its numbers and write the page only where -o is given.
    """
    writes = not as_json or _given("output")
    if writes:
        check_writable(output)

    from rich.console import Console

    from ktg.reporting.page import report_page
    from ktg.reporting.record import read_search
    from ktg.reporting.report import report as make
    from ktg.tracking import find_experiment

    console = Console(stderr=as_json)
    record = read_search(find_experiment(experiment, tracking_uri))
    data = make(record, retrain=retrain, on_epoch=_printer(console))
    if writes:
        page = report_page(data, record.space.holes)
        write_page(output, page)
        keep(record.experiment.name, record.experiment.uri, record.run.run, page, console)
    if as_json:
        print_json(data)
    else:
        best = data["comparison"][0]
        said = (
            f"{output}: {data['cost']['trials']} trials, best {best['trial']}, validation accuracy "
        )
        click.echo(said + percent(best["val_accuracy"]))


def write_page(output: Path, page: str) -> None:
    """Write a page, whole or not at all."""
    from ktg.local import atomic_write

    with atomic_write(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def keep(experiment: str, uri: str, run: str, page: str, console: "Console") -> None:
    """Keep a page with its search, or warn: the file is there all the same."""
    from ktg.tracking import attach

    try:
        attach(experiment, uri, run, ARTIFACT, page)
    except UserError as error:
        warner(console)(f"the page could not be kept with its search: {error}")


def keep_report(experiment: str, uri: str) -> str:
    """Keep a page with a search that has just ended, and return where it is; whatever goes wrong, the search is done.

    The best graph is not trained again for it, and a large search, to read which takes minutes, is
    left alone.
    """
    from ktg.reporting.page import report_page
    from ktg.reporting.record import read_search
    from ktg.reporting.report import report as make
    from ktg.tracking import attach, find_experiment

    command = shlex.join(["ktg", "report", experiment])
    try:
        found = find_experiment(experiment, uri)
        searches = found.of_kind("search")
        if len(found.trials(searches[0])) > MOST_TRIALS:
            return f"write it with {command}"
        record = read_search(found)
        page = report_page(make(record, retrain=False), record.space.holes)
        attach(experiment, uri, record.run.run, ARTIFACT, page)
        place = found.artifact_file(record.run, ARTIFACT) or "kept in MLflow with the search"
    except Exception as error:
        return f"none, {error}; try {command}"
    return f"{place} ({command} adds what the best network gets wrong)"


def _given(option: str) -> bool:
    """Return whether an option was given, and not left at its default."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not click.core.ParameterSource.DEFAULT


def _printer(console: "Console") -> "Epochs":
    """Return a function that says at its first epoch that the best graph is trained again."""

    def show(epoch: int, epochs: int) -> None:
        if epoch == 1:
            console.print(
                f"training the best graph again for its mistakes ({epochs} epochs)", highlight=False
            )

    return show
