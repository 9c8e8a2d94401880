"""Searches, from their start to the pages on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api.inputs import STORE, space_of, tracker_of
from ktg.errors import UserError

if TYPE_CHECKING:
    from ktg.api.inputs import SpaceLike
    from ktg.reporting.status import Status
    from ktg.searching.confirm.verdict import Confirmation
    from ktg.searching.missing_weights import Missing
    from ktg.searching.result import Result


def search(
    space: "SpaceLike",
    *,
    name: str | None = None,
    trials: int | None = None,
    seed: int | None = None,
    address: str | None = None,
    storage: str | Path | None = None,
    missing_sources: "Missing" = "stop",
    confirm: int | None = None,
    seeds: int = 5,
    tracking_uri: str | None = STORE,
) -> "Result":
    """Search a space for its best graph, and return that graph (`.best`) with the baselines beside it (`.rows`).

    name: of the experiment; default: the space's own, or its file's. trials, seed: instead of what
    the space says.
    address: a Ray cluster to join. storage: a folder for Ray's files; on a cluster one that all
    machines share.
    missing_sources: whether options that cannot be supplied with weights stop the search or are
    left out.
    confirm: then confirm so many best graphs with so many `seeds`; `.confirmation` is the JSON of
    `ktg.confirm`. The page of `ktg report` is kept with the search. To go on with one that was
    interrupted there is `ktg search --resume`.
    """
    import dataclasses

    from rich.console import Console

    from ktg.cli.confirm import run as confirmed
    from ktg.cli.load import experiment_name
    from ktg.cli.report import keep_report
    from ktg.searching.confirm.check import check_test
    from ktg.searching.run import search as run

    loaded = space_of(space)
    plan = loaded.search
    plan = dataclasses.replace(
        plan, trials=trials or plan.trials, seed=plan.seed if seed is None else seed
    )
    loaded = dataclasses.replace(loaded, search=plan)
    experiment = experiment_name(
        loaded, Path(space) if isinstance(space, str | Path) else Path("search"), name
    )
    if confirm is not None:
        if tracking_uri is None:
            raise UserError("confirm: needs a store to read the search from; give a tracking_uri")
        check_test(loaded, confirm)
    with tracker_of(experiment, tracking_uri) as tracker:
        place = Path(storage) if storage else None
        result = run(
            loaded,
            experiment,
            tracker,
            missing_sources=missing_sources,
            address=address,
            storage=place,
        )
    if tracking_uri is not None and result.best is not None and not result.interrupted:
        if confirm is not None:
            top = min(confirm, result.finished)
            found = confirmed(
                experiment, top, seeds, tracking_uri, Console(quiet=True), address, place
            )
            result = dataclasses.replace(result, confirmation=found.to_json())
        keep_report(experiment, tracking_uri)
    return result


def confirm(
    experiment: str,
    *,
    top: int = 1,
    seeds: int = 5,
    address: str | None = None,
    storage: str | Path | None = None,
    tracking_uri: str = STORE,
) -> "Confirmation":
    """Train the best graphs and the baselines of an experiment's last search again with new seeds, and test them.

    Returns what `ktg confirm` prints: `.sentence` says whether the best graph is better than each
    baseline. What an earlier call has finished is not trained again.
    """
    from rich.console import Console

    from ktg.cli.confirm import run
    from ktg.cli.report import keep_report

    place = Path(storage) if storage else None
    confirmation = run(experiment, top, seeds, tracking_uri, Console(quiet=True), address, place)
    keep_report(experiment, tracking_uri)
    return confirmation


def searches(*, tracking_uri: str = STORE) -> "list[Status]":
    """Return how the last search of every experiment of a store stands, the newest first."""
    from ktg.reporting.status import statuses
    from ktg.tracking import find_experiments

    return statuses(find_experiments(tracking_uri))


def status(experiment: str, *, tracking_uri: str = STORE) -> "Status":
    """Return how the last search of an experiment stands: its state, trials by state, the best so far."""
    from ktg.reporting.status import status_of
    from ktg.tracking import find_experiment

    return status_of(find_experiment(experiment, tracking_uri))


def stop(experiment: str, *, tracking_uri: str = STORE) -> None:
    """Ask the running search of an experiment to end as after Ctrl-C."""
    from ktg.tracking import request_stop

    request_stop(experiment, tracking_uri)


def report(
    experiment: str,
    output: str | Path | None = None,
    *,
    retrain: bool | None = None,
    tracking_uri: str = STORE,
) -> dict[str, Any]:
    """Return the numbers of the report on an experiment's last search, as `ktg report --json` prints them.

    output: write the page to this file, and keep it with the search in MLflow.
    retrain: train the best graph again for its mistakes; default: if that takes under a minute.
    """
    from ktg.cli.options import check_writable
    from ktg.cli.report import ARTIFACT, write_page
    from ktg.reporting.page import report_page
    from ktg.reporting.record import read_search
    from ktg.reporting.report import report as make
    from ktg.tracking import attach, find_experiment

    if output is not None:
        check_writable(Path(output))
    record = read_search(find_experiment(experiment, tracking_uri))
    data = make(record, retrain=retrain)
    if output is not None:
        page = report_page(data, record.space.holes)
        write_page(Path(output), page)
        attach(experiment, tracking_uri, record.run.run, ARTIFACT, page)
    return data


def compare(
    *experiments: str, output: str | Path | None = None, tracking_uri: str = STORE
) -> dict[str, Any]:
    """Return the last searches of several experiments side by side, as `ktg compare --json` prints them.

    output: write the comparison as an HTML page to this file.
    """
    from ktg.cli.compare import check_several
    from ktg.cli.options import check_writable
    from ktg.cli.report import write_page
    from ktg.reporting.compare import compare as make
    from ktg.reporting.page import compare_page
    from ktg.reporting.record import read_search
    from ktg.tracking import find_experiment

    check_several(experiments)
    if output is not None:
        check_writable(Path(output))
    data = make([read_search(find_experiment(name, tracking_uri)) for name in experiments])
    if output is not None:
        write_page(Path(output), compare_page(data))
    return data


def ui(port: int = 5000, tracking_uri: str = STORE) -> None:
    """Show searches and trials in MLflow's pages, for this machine only, until Ctrl-C."""
    from ktg.tracking import serve_ui

    serve_ui(tracking_uri, port)
