"""Defines `ktg search`."""

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ktg import api
from ktg.api.confirm import SEEDS
from ktg.api.inputs import name_places, name_store
from ktg.api.resume import name_search_places
from ktg.cli import options
from ktg.cli.confirm import print_confirmation
from ktg.cli.init import labels, size, target
from ktg.cli.screen import Screen, print_json
from ktg.cli.tables import make_table
from ktg.errors import KtgError, UserError
from ktg.wording import count, format_duration, format_percent

if TYPE_CHECKING:
    from ktg.api.confirm import Confirmation
    from ktg.api.search import Delivered, Result


@click.command(epilog="Example: ktg search search_spaces/quickstart.yaml --trials 50")
@click.argument("space", type=options.A_FILE)
@options.file(
    "--out",
    help="Folder for model, graph and page; default, for images and with a budget: the name.",
)
@target
@size
@labels
@options.flag("--force", help="Overwrite what is in that folder.")
@click.option("--name", help="Name of the experiment; default: the space's own, or its file's.")
@options.count("--trials", help="Graphs to train, instead of what the space says.")
@options.count("--seed", help="Seed of the sampler, instead of what the space says.", least=0)
@click.option("--budget", help="Wall time such as 90s, 30m or 2h, instead of a count of trials.")
@options.address
@options.storage
@options.count("--confirm", help="Afterwards confirm so many best graphs: `ktg confirm`.")
@options.count("--seeds", help="Trainings of each graph with --confirm; default: 5.", least=2)
@options.flag(
    "--resume", help="Go on with the last search of this name; SPACE may be the name itself."
)
@click.option(
    "--learn-from",
    multiple=True,
    metavar="EXPERIMENT",
    help="Begin with what earlier searches found; may be given several times.",
)
@options.imagenet("--weights", "--imagenet")
@options.missing_sources
@options.tracking_uri
@options.as_json
def search(
    space: Path, confirm: int | None, seeds: int | None, as_json: bool, **given: Any
) -> None:
    """Search SPACE for the best graph, on this machine or on a Ray cluster.

    SPACE is a file, or a folder of images (one folder per class): then what `ktg init` proposes for
    it is searched. With a budget, and with --out, the best network is left in that folder, with its
    graph and the report, also after an interruption.
    """
    # `given` goes to `ktg.api.search`: a new option needs a keyword of its name there.
    if seeds and not confirm:
        meaning = "says how often --confirm trains each graph"
        raise UserError(f"--seeds: {meaning}; give that too, for example --confirm 1")
    cluster = {name: given[name] for name in ("address", "storage")}
    places = {"uri": given["tracking_uri"], **cluster}
    places |= {name: given[name] for name in ("out", "missing_sources", "learn_from")}
    shown: list[str] = []  # sentences that need not be said again
    with Screen(stderr=as_json) as screen:

        def show(result: "Result") -> None:
            if not as_json:
                print_result(result, screen, to_confirm=confirm is not None, **places)
            shown.extend(result.warnings)

        def show_confirmation(found: "Confirmation") -> None:
            if not as_json:
                print_confirmation(found, screen, given["tracking_uri"], **cluster)

        given |= {"on_result": show, "on_confirmation": show_confirmation}
        given["weights"] = given.pop("imagenet")
        result = api.search(
            space, confirm=confirm, seeds=seeds or SEEDS, listener=screen.listener, **given
        )
        if result.delivered is not None and not as_json:
            print_delivered(result, screen, shown)
    if as_json:
        print_json(result.to_json())
    check_end(result)


def check_end(result: "Result") -> None:
    """Raise what the exit code is for, of a search that was interrupted or did not do its task."""
    if result.interrupted:
        raise KeyboardInterrupt
    if result.undelivered is not None:
        raise KtgError(result.undelivered)
    if result.best is None and result.delivered is None:
        raise KtgError(explain_nothing(result))


def explain_nothing(result: "Result") -> str:
    """Return why a search ends without a graph and without a model.

    >>> from types import SimpleNamespace
    >>> explain_nothing(SimpleNamespace(failed=0, commonest_failure=None))
    'no trial came to its end within the time; give a longer budget'
    """
    if result.failed:
        reason = result.commonest_failure or "none was given"
        return f"no trial finished; the most common reason: {reason}"
    return "no trial came to its end within the time; give a longer budget"


def describe_no_trial(result: "Result") -> str:
    """Return why a search has left no more than the probe that it began with."""
    why = explain_nothing(result).rstrip(".")
    kept = "The model that is kept is the probe of the weights that it began with."
    return f"{why[0].upper()}{why[1:]}. {kept}"


def print_delivered(result: "Result", screen: Screen, shown: Collection[str] = ()) -> None:
    """Print how the delivered model does on the test images, by class, and a sentence.

    And why it is no more than a probe, where no trial came to its end, and what the user should
    not miss of it. shown: warnings that have been printed with the search.
    """
    delivered: Delivered = result.delivered
    if result.best is None and not result.interrupted:
        screen.listener.warn(describe_no_trial(result))
    figures = ("precision", "recall", "F1", "images")
    table = make_table("class", *figures, title="Test split", right=figures)
    for name, scores in delivered.classes.items():
        shares = (scores.precision, scores.recall, scores.f1)
        cells = ("n/a" if share is None else format_percent(share) for share in shares)
        table.add_row(name, *cells, str(scores.support))
    screen.clear()
    screen.console.print(table)
    screen.say(delivered.sentence)
    for warning in result.warnings:
        if warning not in shown:
            screen.warn(warning)


def print_basis(result: "Result", screen: Screen) -> None:
    """Print what the score of the best graph rests on, and what the user should not miss.

    So what its teacher was good for, and what an ensemble of all trainings would be.
    """
    best = result.rows[0]
    said = f"The best graph's {result.measure} is {best.basis}"
    screen.console.print(f"{said}.", highlight=False)
    for told in (result.teacher, result.pool):
        if told is not None:
            screen.console.print(told.sentence, highlight=False)
    for warning in result.warnings:
        screen.console.print(warning, style="yellow", highlight=False)


def print_race(result: "Result", screen: Screen) -> None:
    """Print what new seeds said, and what that leads one to expect."""
    raced = [row for row in result.rows if row.n]
    if not raced:
        return
    unit = "" if result.metric == "loss" else " in points"
    figures = (result.measure, "n", "best minus it", "to expect")
    title = f"New seeds (n of each; differences{unit}, with 95 % intervals)"
    table = make_table("", *figures, title=title, right=figures)
    for row in raced:
        difference = row.describe_difference(result.metric)
        expected = row.describe_expected(result.metric)
        table.add_row(row.what, row.describe_score(result.metric), str(row.n), difference, expected)
    screen.console.print(table)


def print_faults(result: "Result", screen: Screen) -> None:
    """Print what is wrong with the trainings in the table; that of the best is one of its warnings.

    A collapsed baseline is nothing to be better than.
    """
    for row in result.rows[1:]:
        if row.note:
            said = f"{row.what} ({row.trial.partition(' ')[0]}) {row.note}."
            screen.console.print(said, style="yellow", highlight=False)


def print_next(
    result: "Result", screen: Screen, uri: str | None, *, to_confirm: bool, **cluster: Any
) -> None:
    """Print the commands that come next. uri, cluster: what they must be given, if anything."""
    if result.best is not None:
        confirm = ["ktg", "confirm", result.name, *name_places(uri, **cluster)]
        advice = [] if to_confirm or result.interrupted else [confirm]
        advice.append(["ktg", "export", result.name, "-o", "best.yaml", *name_store(uri)])
        screen.say("\nNext:" + "".join(f"\n  {shlex.join(each)}" for each in advice))


def print_result(
    result: "Result",
    screen: Screen,
    *,
    to_confirm: bool = False,
    uri: str | None = None,
    **places: Any,
) -> None:
    """Print the best graph beside the baselines, what was spent and saved, and what to do next.

    to_confirm: whether it is about to be confirmed, which is then no advice. uri, places: the store
    and what else the next commands must be given, too: see `name_search_places`.
    """
    figures = (result.measure, "new seeds", "time")
    table = make_table("", *figures, "trial", title="Validation split", right=figures)
    for row in result.rows:
        is_best = row.what == "best graph"
        trial, _, baseline = row.trial.partition(" ")
        what = f"{row.what} {baseline}".rstrip() if is_best else row.what
        seeds, time = str(row.n) if row.n else "", format_duration(row.train_s)
        cells = (what, row.describe_score(result.metric), seeds, time, trial)
        table.add_row(*cells, style="bold" if is_best else None)
    console = screen.console
    if result.rows:
        console.print(table)
    print_race(result, screen)
    print_faults(result, screen)
    states = f"{result.finished} finished, {result.stopped} stopped early, {result.failed} failed"
    spent = f"{count(result.epochs, 'epoch')} in {format_duration(result.wall_s)}"
    saved = f"{count(result.epochs_saved, 'epoch')} saved by stopping early"
    duplicates = f"by {count(result.duplicates, 'duplicate')} not trained"
    console.print(f"{states}; {spent}; {saved} and {duplicates}.", highlight=False)
    if result.stopping is not None:
        console.print(result.stopping, highlight=False)
    if result.best is not None:
        print_basis(result, screen)
    if result.end_of_space is not None:
        console.print(result.end_of_space, highlight=False)
    if result.interrupted:
        console.print("Interrupted; what was found so far is kept.", style="yellow")
        words = ["ktg", "search", result.name, "--resume", *name_search_places(uri, **places)]
        again = shlex.join(words)
        screen.say(f"To go on:\n  {again}")
    if result.ship is not None and not to_confirm:
        by = "By the validation images, which the best was chosen by:"
        console.print(f"{by} {result.ship.sentence}", highlight=False)
    cluster = {name: places.get(name) for name in ("address", "storage")}
    print_next(result, screen, uri, to_confirm=to_confirm, **cluster)
