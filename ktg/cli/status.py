"""`ktg status` and `ktg stop`."""

import time
from typing import TYPE_CHECKING

import click

from ktg.cli.options import as_json, percent, print_json, tracking_uri

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from ktg.reporting.status import Status

EVERY_S = 3.0


@click.command(epilog="Example: ktg status quickstart")
@click.argument("experiment", required=False)
@tracking_uri
@as_json
def status(experiment: str | None, tracking_uri: str, as_json: bool) -> None:
    """Show how EXPERIMENT's last search stands, and its confirmation; on a terminal, until both are over or Ctrl-C.

    Without EXPERIMENT: all experiments of the store, a line for the last search of each.
    """
    from rich.console import Console
    from rich.live import Live

    from ktg.reporting.status import status_of, statuses
    from ktg.tracking import find_experiment, find_experiments

    if experiment is None:
        every = statuses(find_experiments(tracking_uri))
        if as_json:
            print_json([one.to_json() for one in every])
        elif every:
            Console().print(listed(every), highlight=False)
        else:
            click.echo("No searches yet; `ktg search SPACE` begins one.")
        return
    found = find_experiment(experiment, tracking_uri)
    now = status_of(found)
    console = Console()
    if as_json:
        print_json(now.to_json())
        return
    if not console.is_terminal:
        console.print(drawn(now), highlight=False)
        return
    with Live(drawn(now), console=console, auto_refresh=False) as live:
        while now.going_on:
            time.sleep(EVERY_S)
            now = status_of(found)
            live.update(drawn(now), refresh=True)


@click.command(epilog="Example: ktg stop quickstart")
@click.argument("experiment")
@tracking_uri
@as_json
def stop(experiment: str, tracking_uri: str, as_json: bool) -> None:
    """Ask EXPERIMENT's running search to end as after Ctrl-C; `ktg search EXPERIMENT --resume` goes on with it."""
    from ktg.tracking import request_stop

    request_stop(experiment, tracking_uri)
    if as_json:
        print_json({"experiment": experiment, "asked": True})
        return
    click.echo(
        f"{experiment}: asked to stop; it will within seconds, if its driver lives. See: ktg status {experiment}"
    )


def listed(every: "Sequence[Status]") -> "Table":
    """Return a line for each status."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from ktg.searching.progress import duration

    table = Table(box=SIMPLE_HEAD)
    for column in ("experiment", "last search", "began", "took", "trials", "best"):
        table.add_column(
            column,
            justify="right" if column in ("took", "trials", "best") else "left",
            overflow="fold",
        )
    for one in every:
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.start_s))
        trials = sum(number for state, number in one.counts.items() if state != "duplicate")
        best = "-" if one.best_accuracy is None else percent(one.best_accuracy)
        table.add_row(Text(one.name), one.state, began, duration(one.wall_s), str(trials), best)
    return table


def drawn(now: "Status") -> "Table":
    """Return the status as a block of lines."""
    from rich.table import Table
    from rich.text import Text

    from ktg.searching.progress import duration

    counts = ", ".join(f"{number} {state}" for state, number in now.counts.items() if number)
    best = (
        "none finished yet"
        if now.best is None
        else f"{percent(now.best_accuracy or 0)}, {now.best}"
    )
    grid = Table.grid(padding=(0, 2))
    grid.add_row(Text("search", style="dim"), f"{now.name}: {now.state}, {duration(now.wall_s)}")
    grid.add_row(
        Text("trials", style="dim"),
        f"{counts or 'none yet'}; {now.planned} planned, baselines on top",
    )
    grid.add_row(Text("best", style="dim"), best)
    confirmation = now.confirmation
    if confirmation is not None:
        failed = f", {confirmation.failed} failed" if confirmation.failed else ""
        done = f"{confirmation.finished} trainings finished{failed}, {confirmation.trainings} asked for"
        grid.add_row(
            Text("confirm", style="dim"), confirmation.sentence or f"{confirmation.state}, {done}"
        )
    for trial in (*now.running, *(confirmation.running if confirmation else ())):
        reached = "" if trial.accuracy is None else f", {percent(trial.accuracy)}"
        grid.add_row(
            Text("running", style="dim"), f"{trial.name}: {trial.epoch} epochs done{reached}"
        )
    return grid
