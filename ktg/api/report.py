"""Writes pages about searches: a report on one, a comparison of several."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api.inputs import STORE, check_writable, name_store
from ktg.api.listener import QUIET, Listener
from ktg.errors import UserError, show

if TYPE_CHECKING:
    from ktg.reporting.mistakes import EpochCallback
    from ktg.searching.stored_search import StoredSearch

ARTIFACT = "report.html"
MOST_TRIALS = 300
PAGE = ("a page is HTML", ".html", ".htm")


def report(
    experiment: str,
    output: str | Path | None = None,
    *,
    retrain: bool | None = None,
    tracking_uri: str = STORE,
    listener: Listener = QUIET,
    on_epoch: "EpochCallback | None" = None,
) -> dict[str, Any]:
    """Return the numbers of the report on the newest search that has a finished trial.

    They are those that `ktg report --json` prints. output: write the page to this file, and store
    it with the search in MLflow. retrain: train the best graph again to list its mistakes, calling
    `on_epoch` after each epoch; default: only if that takes under a minute.
    """
    from ktg.local import check_ending
    from ktg.reporting.report import make_report
    from ktg.searching.history import read_last_search
    from ktg.tracking import find_experiment

    file = None if output is None else check_ending(check_writable(output), *PAGE)
    search = read_last_search(find_experiment(experiment, tracking_uri))
    if search.of > 1:
        listener.say(search.sentence)
    data = make_report(search, retrain=retrain, on_epoch=on_epoch)
    if file is not None:
        write_page(search, data, file, tracking_uri, listener)
    return data


def write_page(
    search: "StoredSearch", data: dict[str, Any], file: Path, uri: str, listener: Listener
) -> None:
    """Write the report of a search as a page to a file, and store it with the search."""
    from ktg.local import write_text
    from ktg.reporting.page import render_report
    from ktg.tracking import attach

    page = render_report(data, search.space.holes, uri)
    write_text(file, page)
    try:
        attach(search.experiment.name, uri, search.run.run, ARTIFACT, page)
    except UserError as error:  # the file is there all the same
        listener.warn(f"the page could not be kept with its search: {error}")


def attach_report(experiment: str, uri: str, run: str | None = None) -> str:
    """Store a page with a search that has just ended; return where it is, or why there is none.

    run: of that search; default: the last one.
    Whatever goes wrong, the search is done: nothing is raised. The best graph is not trained again
    for the page, and a large search, which takes minutes to read, gets none.
    """
    from ktg.reporting.page import render_report
    from ktg.reporting.report import make_report
    from ktg.searching.history import read_last_search
    from ktg.tracking import attach, find_experiment

    command = shlex.join(["ktg", "report", experiment, *name_store(uri)])
    try:
        found = find_experiment(experiment, uri)
        search = read_last_search(found, run)
        if len(search.children) > MOST_TRIALS:
            return f"write it with {command}"
        page = render_report(make_report(search, retrain=False), search.space.holes, uri)
        attach(experiment, uri, search.run.run, ARTIFACT, page)
        place = found.artifact_file(search.run, ARTIFACT) or "kept in MLflow with the search"
    except Exception as error:
        return f"none, {error}; try {command}"
    return f"{place} ({command} adds what the best network gets wrong)"


def compare(
    *experiments: str, output: str | Path | None = None, tracking_uri: str = STORE
) -> dict[str, Any]:
    """Return the last searches of several experiments side by side.

    The numbers are those that `ktg compare --json` prints. output: write the comparison as an HTML
    page to this file.
    """
    from ktg.local import check_ending, write_text
    from ktg.reporting.page import render_comparison
    from ktg.reporting.side_by_side import compare_searches
    from ktg.searching.history import read_last_search
    from ktg.tracking import find_experiment

    twice = [name for place, name in enumerate(experiments) if name in experiments[:place]]
    if twice:
        raise UserError(f"compare: {show(twice[0])} is given twice")
    if len(experiments) < 2:
        raise UserError("compare: at least two experiments are needed; `ktg report` shows one")
    file = None if output is None else check_ending(check_writable(output), *PAGE)
    searches = [read_last_search(find_experiment(name, tracking_uri)) for name in experiments]
    data = compare_searches(searches)
    if file is not None:
        write_text(file, render_comparison(data))
    return data
