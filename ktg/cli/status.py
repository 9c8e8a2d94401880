"""Defines `ktg status`, `ktg stop` and `ktg ui`."""

import shlex
import time
from typing import TYPE_CHECKING

import click

from ktg import api
from ktg.api.inputs import name_store
from ktg.api.status import follow
from ktg.cli import options
from ktg.cli.screen import echo, make_console, print_json
from ktg.cli.tables import make_table
from ktg.wording import count, format_duration, format_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from ktg.api.status import Status


@click.command(epilog="Example: ktg status quickstart")
@click.argument("experiment", required=False)
@options.tracking_uri
@options.as_json
def status(experiment: str | None, tracking_uri: str, as_json: bool) -> None:
    """Show how EXPERIMENT's last search stands, and its confirmation.

    On a terminal the display goes on until both are over or Ctrl-C. Without EXPERIMENT: all
    experiments of the store, a line for the last search of each.
    """
    from rich.live import Live

    console = make_console()
    if experiment is None:
        every = api.searches(tracking_uri=tracking_uri)
        if as_json:
            print_json([one.to_json() for one in every])
        elif every:
            console.print(list_statuses(every))
        else:
            echo("No searches yet; `ktg search SPACE` begins one.")
        return
    found = follow(experiment, tracking_uri=tracking_uri)
    now = next(found)
    if as_json:
        print_json(now.to_json())
    elif not console.is_terminal:
        console.print(draw_status(now))
    else:
        with Live(draw_status(now), console=console, auto_refresh=False) as live:
            for now in found:
                live.update(draw_status(now), refresh=True)


@click.command(epilog="Example: ktg stop quickstart")
@click.argument("experiment")
@options.tracking_uri
@options.as_json
def stop(experiment: str, tracking_uri: str, as_json: bool) -> None:
    """Ask EXPERIMENT's running search to end as after Ctrl-C.

    `ktg search EXPERIMENT --resume` goes on with it.
    """
    api.stop(experiment, tracking_uri=tracking_uri)
    if as_json:
        print_json({"experiment": experiment, "asked": True})
        return
    when = "it does so within seconds if its driver is running"
    see = shlex.join(["ktg", "status", experiment, *name_store(tracking_uri)])
    echo(f"{experiment}: asked to stop; {when}. See: {see}")


@click.command(epilog="Example: ktg ui quickstart --port 5001")
@click.argument("experiment", required=False)
@click.option("--port", type=click.IntRange(1, 65535), default=5000, show_default=True)
@options.tracking_uri
def ui(experiment: str | None, port: int, tracking_uri: str) -> None:
    """Show searches and trials in MLflow's pages, for this machine only, until Ctrl-C.

    With EXPERIMENT the address is that of its trials, the best first.
    """

    def show(url: str) -> None:
        echo(f"{url}  (Ctrl-C ends it)")

    api.ui(port, tracking_uri, experiment=experiment, ready=show)


def list_statuses(every: "Sequence[Status]") -> "Table":
    """Return a line for each status."""
    figures = ("took", "trials", "best")
    columns = ("experiment", "last search", "began", *figures)
    table = make_table(*columns, right=figures, fold=columns, simple=True)
    for one in every:
        began = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.start_s))
        trials = sum(number for state, number in one.counts.items() if state != "duplicate")
        best = "-" if one.level is None else one.level.sentence
        table.add_row(one.name, one.state, began, format_duration(one.wall_s), str(trials), best)
    return table


def draw_status(now: "Status") -> "Table":
    """Return the status as a block of lines."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))

    def add(name: str, text: str) -> None:
        grid.add_row(Text(name, style="dim"), text)

    which = now.search
    several = f" ({which['number']} of {which['of']}, begun {which['started']})"
    name = now.name + (several if which["of"] > 1 else "")
    add("search", f"{name}: {now.state}, {format_duration(now.wall_s)}")
    counts = ", ".join(f"{number} {state}" for state, number in now.counts.items() if number)
    on_top = f"{now.planned} planned, baselines on top"
    planned = on_top if now.planned else "as many as fit the budget"
    add("trials", f"{counts or 'none yet'}; {planned}")
    if now.collapsed:
        add(
            "collapsed",
            f"{count(now.collapsed, 'training')}: the network says the same of all images",
        )
    if now.level is None:
        add("best", "none finished yet")
    else:
        add("best", f"{now.best}: {now.level.sentence}" + (f"; {now.note}" if now.note else ""))
    confirmation = now.confirmation
    if confirmation is not None:
        failed = f", {confirmation.failed} failed" if confirmation.failed else ""
        done = f"{count(confirmation.finished, 'training')} finished{failed}"
        going = f"{confirmation.state}, {done}, {confirmation.trainings} asked for"
        if confirmation.sentence is None or confirmation.state != "finished":
            add("confirm", going)
        if confirmation.sentence is not None:
            add("confirm", confirmation.sentence)
    for trial in (*now.running, *(confirmation.running if confirmation else ())):
        accuracy = trial.accuracy
        reached = "" if accuracy is None else f", validation accuracy {format_percent(accuracy)}"
        add("running", f"{trial.name}: {count(trial.epoch, 'epoch')} done{reached}")
    return grid
