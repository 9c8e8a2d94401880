"""Goes along with a search that ends in a model: prepares a folder before, delivers afterwards."""

import dataclasses
import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api import inputs
from ktg.api.deliver import (
    FINISH_S,
    GRAPH,
    MODEL,
    PAGE,
    Delivered,
    deliver_graph,
    describe_delivered,
    fit_into,
    measure_growth,
    warn_of_no_report,
    write_early_page,
)
from ktg.api.folder import (
    SPACE,
    PreparedFolder,
    check_out,
    check_outside,
    choose_out,
    is_images,
    is_result,
    prepare_folder,
)
from ktg.api.init import BUDGET, make_wishes, name_folder, name_groups
from ktg.api.listener import Listener
from ktg.api.report import attach_report, write_page
from ktg.errors import KtgError, UserError, describe_system_error, join_names
from ktg.graph import Graph, Scalar, SearchSpace
from ktg.version import __version__
from ktg.wording import format_duration, parse_duration

if TYPE_CHECKING:
    from ktg.searching.budget import Reserve
    from ktg.searching.result import Result

BROKEN = 0.1  # how much less accuracy on test images than on validation images is worth a warning


@dataclass(frozen=True)
class FolderWishes:
    """What is said of a folder that is searched, and of what is delivered: see `ktg.search`.

    resume: whether an earlier search goes on, whose files are then replaced.
    """

    target: str | None = None
    weights: Mapping[str, Any] = field(default_factory=dict)
    budget: str | None = None
    size: int | None = None
    out: str | Path | None = None
    force: bool = False
    resume: bool = False
    labels: str | None = None

    @property
    def keeps(self) -> bool:
        """Whether results that are in the folder stay."""
        return not (self.force or self.resume)


@dataclass(frozen=True)
class Delivery:
    """The space of a search and its name, and the folder that its model goes to, None for none.

    weights: files that stand for `source: imagenet`, besides those in the space. prepared: what
    was made ready for a folder of images. guarded: whether what others have put into `out` when
    the search ends must stay.
    """

    space: inputs.SpaceLike
    name: str | None
    weights: Mapping[str, Any]
    out: Path | None = None
    prepared: PreparedFolder | None = None
    guarded: bool = False

    def make_reserve(self, space: SearchSpace) -> "Reserve | None":
        """Return what the search of a space must leave of its budget for what comes around it."""
        from ktg.searching.budget import Reserve

        if self.out is None:
            return None
        growth = measure_growth(space.bind(space.default()))
        if self.prepared is None:
            return Reserve(growth, FINISH_S)
        prepared = self.prepared
        return Reserve(growth, FINISH_S, prepared.teacher_s, prepared.spent_s)

    def find_left_s(self, result: "Result") -> float | None:
        """Return the seconds that the last training may take, None for no limit."""
        if self.prepared is not None:
            left_s = parse_duration(self.prepared.budget) - self.prepared.spent_s
        elif result.left_s is not None:
            left_s = result.left_s
        else:
            return None
        return left_s - FINISH_S


@contextmanager
def open_delivery(
    space: inputs.SpaceLike, name: str | None, wishes: FolderWishes, listener: Listener
) -> Iterator[Delivery]:
    """Yield what to search and where its model goes; SIGTERM inside the block is as Ctrl-C.

    A folder of images is looked at, and its space written, unless an earlier search goes on.
    Raises UserError for a folder that cannot be filled, and for options that only a folder has.
    """
    from ktg.searching.driver_lock import interrupt_on_sigterm

    images = Path(str(space)).expanduser() if is_images(space) else None
    if images is not None and wishes.resume and is_result(images):
        images = None  # `ktg search NAME --resume`, and its results are in a folder of that name
    if images is None:
        check_no_images(wishes)
    with interrupt_on_sigterm():
        if images is None:
            out = None if wishes.out is None else find_out(wishes, "", None)
            guarded = out is not None and wishes.keeps
            yield Delivery(space, name, wishes.weights, out, guarded=guarded)
        else:
            yield open_folder(
                images, name_folder(images) if name is None else name, wishes, listener
            )


def check_no_images(wishes: FolderWishes) -> None:
    """Raise UserError for what can be said of a folder of images only."""
    for option in ("target", "size", "labels"):
        if getattr(wishes, option) is not None:
            problem = "is for a folder of images; a space says it itself"
            raise UserError(f"--{option}: {problem}")


def open_folder(images: Path, name: str, wishes: FolderWishes, listener: Listener) -> Delivery:
    """Return what to search for a folder of images, which is prepared unless a search goes on."""
    inputs.check_title(name)
    out = find_out(wishes, name, images, more=(SPACE, name_groups(Path(SPACE)).name))
    if wishes.resume:
        named = ("target", "size", "labels", "weights")
        warn_of_unheard(listener, **{name: getattr(wishes, name) for name in named})
        return Delivery(name, name, inputs.NO_FILES, out)
    budget = wishes.budget or BUDGET
    asked = make_wishes(wishes.target, wishes.weights, budget, wishes.size, wishes.labels)
    prepared = prepare_folder(
        images, out, name=name, wishes=asked, budget=budget, listener=listener
    )
    return Delivery(prepared.space, name, inputs.NO_FILES, out, prepared)


def warn_of_unheard(listener: Listener, **said: object) -> None:
    """Say which options change nothing because a search goes on with the space that it has."""
    unheard = [f"--{option}" for option, value in said.items() if value]
    if unheard:
        named = join_names(unheard)
        listener.warn(f"{named}: not heard, because the search goes on as it began")


def find_out(
    wishes: FolderWishes, name: str, images: Path | None, more: Sequence[str] = ()
) -> Path:
    """Return the folder that results go to; more: files that go there besides a model's.

    Raises UserError for one that cannot be filled, or that lies among the images.
    """
    out = choose_out(wishes.out, name, images)
    if images is not None:
        check_outside(out, images)
    check_out(out, force=not wishes.keeps, more=more)
    return out


def settle_delivery(
    delivery: Delivery, name: str, space: SearchSpace, wishes: FolderWishes
) -> Delivery:
    """Return where the model of a search goes, now that its name and its space are known.

    A search with a budget ends in a model, of a space too; one that counts trials where that is
    wished.
    """
    if delivery.out is not None or space.search.budget is None:
        return delivery
    images = space.fill(space.default()).data.path
    out = find_out(wishes, name, None if images is None else Path(images))
    return dataclasses.replace(delivery, out=out, guarded=wishes.keeps)


def deliver_result(
    delivery: Delivery, result: "Result", uri: str | None, listener: Listener
) -> "Result":
    """Return the result of a search with its best graph delivered, where that is wanted.

    An interruption or a failure leaves the model that is there: the probe. `undelivered` says why
    there is none of this search.
    """
    if delivery.out is None:
        return result
    first = delivery.prepared.probe if delivery.prepared else None
    made = None
    try:
        made = deliver_best(delivery, result, listener)
        delivered = made or first
    except KeyboardInterrupt:
        delivered, result = first, dataclasses.replace(result, interrupted=True)
        listener.warn(f"interrupted; {describe_kept(first, delivery.out)}")
    except (KtgError, OSError) as error:  # the search is not lost
        delivered, kept = first, describe_kept(first, delivery.out)
        why = describe_system_error(error) if isinstance(error, OSError) else str(error)
        problem = f"the best graph could not be trained again and written: {why}; {kept}"
        if first is None:
            result = dataclasses.replace(result, undelivered=problem)
        else:
            listener.warn(problem)
    if made is not None and first is not None:
        with suppress(OSError):  # the page of the first model has become false
            (delivery.out / PAGE).unlink()
    told = list_warnings(result, made, uri) if made else []
    result = dataclasses.replace(result, warnings=(*result.warnings, *told))
    if result.best is None and delivered is not None:
        write_early_page(result.name, delivered, listener, result)
    elif uri is not None and result.best is not None:
        if delivered is not None:
            warning = " ".join(told) or None
            attach_delivered(result.name, uri, delivered, warning, listener, result.run)
        folder = None if delivered is None else delivery.out  # with the page of another model
        keep_page(result.name, folder, uri, listener, result.run)
    return dataclasses.replace(result, delivered=delivered)


def deliver_best(delivery: Delivery, result: "Result", listener: Listener) -> Delivered | None:
    """Train the best graph of a search on all images but the test split, and write it.

    Returns None where there is none, and the probe that is there where that is the best graph.
    """
    from ktg.exporting.graph_files import describe_figures
    from ktg.graph.canonical import canonical_key

    best, prepared = result.best, delivery.prepared
    if best is None or delivery.out is None:
        return None
    if prepared and prepared.probe and prepared.probe_key == canonical_key(best):
        return prepared.probe
    trial, made_s, left_s = result.rows[0].trial, result.repeat_s, delivery.find_left_s(result)
    expected_s = measure_growth(best) * made_s
    graph = fit_into(best, expected_s, left_s)
    if graph.train.epochs < best.train.epochs:
        shorter = f"{graph.train.epochs} epochs instead of {best.train.epochs}"
        listener.warn(f"little time is left: the last training has {shorter}")
    share = graph.train.epochs / max(1, best.train.epochs)
    about = format_duration(expected_s * share)
    listener.say(f"Training the best graph, {trial}, on all images but the test split: {about}")
    row, origin = result.rows[0], dict[str, Scalar](experiment=result.name, trial=trial)
    origin |= describe_figures(result.metric, row.score, row.n, row.accuracy)
    origin["version_ktg"] = __version__
    named: Graph = dataclasses.replace(graph, provenance=origin)
    return deliver_graph(named, delivery.out, trial, listener, left_s=left_s)


def list_warnings(result: "Result", made: Delivered, uri: str | None) -> list[str]:
    """Return what to know of the best graph's model, in sentences, of which there may be none."""
    found = describe_promise(result, made), describe_simpler(result, made.folder, uri)
    return [sentence for sentence in found if sentence is not None]


def describe_simpler(result: "Result", out: Path, uri: str | None) -> str | None:
    """Return a sentence where another graph is advised than the best one, which was delivered.

    It is one that is not proven worse; the sentence has the command that makes its model.
    """
    best, ship = result.rows[0].trial.partition(" ")[0], result.ship
    if ship is None or ship.trial in ("", best):
        return None
    files = ["-o", str(out / "simpler.yaml"), "--weights", str(out / "simpler.safetensors")]
    words = ["ktg", "export", result.name, "--trial", ship.trial, *files, *inputs.name_store(uri)]
    simpler = f"a simpler one that is not proven worse is {ship.what} ({ship.trial})"
    how = "" if uri is None else f", whose network is written by `{shlex.join(words)}`"
    return f"{out / MODEL} is the network of the best graph, {best}; {simpler}{how}."


def describe_promise(result: "Result", delivered: Delivered) -> str | None:
    """Return a sentence where validation images were proven to be much easier than test images.

    The best of many trainings always seems a few points better than it is, so that BROKEN, and four
    standard errors of the difference, are what chance and choice do not explain. New seeds tell how
    good it is, where there are any; else its one training does.
    """
    row, kept = result.rows[0], delivered.metrics["accuracy"]
    if kept is None or not result.val_images:
        return None
    by_seeds = result.metric == "accuracy" and row.n > 0
    promised = row.score if by_seeds else row.accuracy
    which = row.basis if by_seeds else "one training"
    variance = promised * (1 - promised) / result.val_images + kept * (1 - kept) / delivered.images
    if promised - kept < max(BROKEN, 4 * math.sqrt(variance)):
        return None
    return (
        f"The best graph was right on {100 * promised:.1f} % of the validation images ({which}) "
        f"and is on {100 * kept:.1f} % of the test images: these are of another kind, or the "
        "training and validation images show the same things (data.groups keeps such together). "
        "The graphs of this search were compared by images that are too easy."
    )


def describe_kept(first: Delivered | None, out: Path) -> str:
    """Return what is left in the folder when the last training did not end."""
    if first is not None:
        return f"{out / MODEL} is the probe"
    return f"{out / MODEL} is as it was" if (out / MODEL).exists() else f"no model is in {out}"


def attach_delivered(
    experiment: str,
    uri: str,
    delivered: Delivered,
    warning: str | None,
    listener: Listener,
    run: str | None = None,
) -> None:
    """Store with a search what it ended in, for its page; say why where that fails.

    run: of the search, here and below; default: the last one.
    """
    from ktg.reporting.afterwards import DELIVERED_FILE
    from ktg.searching.history import read_last_search
    from ktg.tracking import attach, find_experiment

    told = describe_delivered(delivered, warning)
    try:
        search = read_last_search(find_experiment(experiment, uri), run)
        attach(experiment, uri, search.run.run, DELIVERED_FILE, json.dumps(told, indent=1))
    except (KtgError, OSError) as error:  # the model is there all the same
        listener.warn(f"how good the model is could not be kept with its search: {error}")


def keep_page(
    experiment: str, out: Path | None, uri: str, listener: Listener, run: str | None = None
) -> None:
    """Write the page of a search to where it is kept: with it, and in its folder where that is.

    The page of a folder was written with the model, before what is now to stand on it.
    """
    if out is not None and out.is_dir():
        write_report(experiment, out / PAGE, uri, listener, run)
    else:
        listener.say(f"Report: {attach_report(experiment, uri, run)}")


def find_page_folder(experiment: str, uri: str, run: str | None = None) -> Path | None:
    """Return the folder with the page of an experiment's search, None where there is none.

    That is where its model went, unless the folder has been moved, or holds another model by now.
    """
    from ktg.graph.yaml_files import load_graph
    from ktg.reporting.afterwards import read_delivered
    from ktg.searching.baselines import PROBE
    from ktg.searching.history import read_last_search
    from ktg.tracking import find_experiment

    with suppress(KtgError, OSError):
        told = read_delivered(read_last_search(find_experiment(experiment, uri), run)) or {}
        folder = Path(str(told.get("folder", "")))
        if not folder.is_absolute():  # an older ktg did not say below which
            return None
        origin = load_graph(folder / GRAPH).provenance
        mine = experiment, told.get("what", PROBE)
        same = (origin.get("experiment"), origin.get("trial", PROBE)) == mine
        return folder if same and (folder / PAGE).is_file() else None
    return None


def write_report(
    experiment: str, file: Path, uri: str, listener: Listener, run: str | None = None
) -> None:
    """Write the page of a search to a file; say why where that fails, for the model is done."""
    from ktg.reporting.report import make_report
    from ktg.searching.history import read_last_search
    from ktg.tracking import find_experiment

    with warn_of_no_report(listener):
        search = read_last_search(find_experiment(experiment, uri), run)
        write_page(search, make_report(search, retrain=False), file, uri, listener)
        listener.say(f"Report: {file}")
