"""Searches a space for its best graph: checks everything, trains, confirms and writes a report."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ktg.api import inputs
from ktg.api.auto_nodes import settle_space_nodes
from ktg.api.check import describe_time
from ktg.api.confirm import SEEDS, run_confirmation
from ktg.api.deliver import Delivered as Delivered
from ktg.api.delivery import (
    Delivery,
    FolderWishes,
    deliver_result,
    keep_page,
    open_delivery,
    settle_delivery,
    warn_of_unheard,
)
from ktg.api.folder import claim_out
from ktg.api.listener import QUIET, Listener, find_listener, ignore
from ktg.api.noise import settle_space_noise
from ktg.api.resume import (
    check_same,
    list_new_options,
    lock_and_read_past,
    name_search_places,
    restore_finished,
)
from ktg.errors import UserError, join_names, show
from ktg.graph import SearchSpace
from ktg.wording import parse_duration

if TYPE_CHECKING:
    from ktg.api.search_result import SearchResult as SearchResult
    from ktg.searching.callback import EndedTrial as EndedTrial
    from ktg.searching.confirm.verdict import Confirmation
    from ktg.searching.missing_weights import Missing as Missing
    from ktg.searching.result import Result as Result
    from ktg.searching.resume import ResumedSearch
    from ktg.searching.stored_search import StoredSearch
    from ktg.tracking import Tracker


@dataclass(frozen=True)
class SearchPlan:
    """The name of an experiment, the space to search, and the search to go on with if any."""

    experiment: str
    space: SearchSpace
    past: "ResumedSearch | None" = None

    def with_settings(
        self, trials: int | None, seed: int | None, budget: str | None = None
    ) -> "SearchPlan":
        """Return the plan with a number of trials, a seed, a budget instead of the space's own.

        A budget by itself takes the place of the space's number of trials.
        """
        own = self.space.search
        counted = trials or (own.trials if budget is None else None)
        changed = dataclasses.replace(
            own,
            trials=counted,
            seed=own.seed if seed is None else seed,
            budget=budget or own.budget,
        )
        return dataclasses.replace(self, space=dataclasses.replace(self.space, search=changed))


def search(
    space: inputs.SpaceLike,
    *,
    name: str | None = None,
    trials: int | None = None,
    seed: int | None = None,
    budget: str | None = None,
    address: str | None = None,
    storage: str | Path | None = None,
    missing_sources: "Missing" = "stop",
    confirm: int | None = None,
    seeds: int = SEEDS,
    tracking_uri: str | None = inputs.STORE,
    resume: bool = False,
    learn_from: Sequence[str] = (),
    weights: Mapping[str, Any] | str | Path = inputs.NO_FILES,
    target: str | None = None,
    size: int | None = None,
    labels: str | None = None,
    out: str | Path | None = None,
    force: bool = False,
    listener: Listener | None = None,
    on_trial: "Callable[[EndedTrial], None] | None" = None,
    on_result: "Callable[[Result], None]" = ignore,
    on_confirmation: "Callable[[Confirmation], None]" = ignore,
) -> "SearchResult":
    """Search a space; return its best graph (`.best`) with the baselines beside it (`.rows`).

    `.model` is the trained network, `.trials` a table of pandas; a notebook shows the result.
    listener: hears how far it is; default: nobody, in a notebook whoever reads its output.

    `space` may be a folder of images (or an .npz): what `ktg.init` proposes for it is searched, and
    the best graph delivered as a model, with a page, in the folder `out`, also after an
    interruption; `.delivered` says how it does on the test split. target, size, labels: see
    `ktg.init`. A space with a budget ends in such a folder, too, unless there is an `address`, and
    so does any space for which `out` is given. out: default: the name of the experiment. force:
    overwrite what is there.

    name: of the experiment; default: the space's own, or its file's. trials, seed: instead of what
    the space says. budget: wall time such as "30m", in place of a number of trials.
    address: a Ray cluster to join. storage: a folder for Ray's files; on a cluster one that all
    machines share. missing_sources: whether options without weights stop the search or are left
    out. weights: by model, files that stand for `source: imagenet`, as in the section `weights`, or
    a YAML file with that section.
    confirm: afterwards confirm this many of the best graphs, `seeds` times; `.confirmation` is the
    JSON of `ktg.confirm`. resume: go on with the last search of this name; `space` may then be the
    name itself. learn_from: experiments whose trials the sampler learns from, by how far they were
    ahead of their own baseline. on_trial: called here with each trial that has ended (its number,
    name, state, score, graph, metrics ...); what it raises ends the search, and is raised when that
    is recorded.
    on_result, on_confirmation: called with each as soon as it is there.

    The page of `ktg report` is stored with the search. Raises UserError, before any training, for
    whatever could not be searched or confirmed.
    """
    inputs.check_store(tracking_uri)
    inputs.check_at_least(1, trials=trials, confirm=confirm)
    inputs.check_at_least(2, seeds=None if confirm is None else seeds)
    listener = find_listener() if listener is None else listener
    place = inputs.check_storage(storage, "search")
    files, earlier = inputs.read_weights_option(weights), read_earlier(learn_from, tracking_uri)
    cluster = {"address": address, "storage": storage}
    places = name_search_places(tracking_uri, missing_sources, learn_from, out=out, **cluster)
    wishes = FolderWishes(target, files, check_budget(budget), size, out, force, resume, labels)
    with open_delivery(space, name, wishes, listener) as delivery:
        # From before the past is read until all records are delivered, nobody else may drive it.
        with ExitStack() as held:
            read_past = partial(
                lock_and_read_past, uri=tracking_uri, storage=place, held=held, listener=listener
            )
            plan = plan_search(delivery, read_past if resume else None, listener, places)
            if plan.past is not None and plan.past.stored.of > 1:
                listener.say(plan.past.stored.sentence)
            plan = plan.with_settings(trials, seed, budget)
            if address is None:  # else this machine, which trains the model, may be a slow one
                delivery = settle_delivery(delivery, plan.experiment, plan.space, wishes)
            with inputs.name_given_file(delivery.space):
                if confirm is not None:
                    check_confirmable(plan.space, confirm, tracking_uri, listener)
                if earlier:
                    check_learns(plan.space)
                result, is_new = (
                    restore_finished(plan.experiment, plan.space, plan.past, listener, places),
                    False,
                )
                if result is None:
                    settings = (tracking_uri, address, place, held, listener, delivery, on_trial)
                    result, is_new = run(plan, missing_sources, *settings, earlier, places)
        on_result(result)
        with ExitStack() as claim:
            if delivery.out is not None and delivery.guarded and result.best is not None:
                out = claim.enter_context(claim_out(delivery.out, listener))
                delivery = dataclasses.replace(delivery, out=out)
            result = deliver_result(delivery, result, tracking_uri, listener)
    if tracking_uri is None or result.best is None or result.interrupted:
        return open_result(result, tracking_uri)
    if confirm is not None:
        top = min(confirm, count_graphs(plan.experiment, tracking_uri, result.run))
        where = tracking_uri, address, place
        found = run_confirmation(plan.experiment, top, seeds, *where, listener, result.run)
        result = dataclasses.replace(result, confirmation=found.to_json())
        on_confirmation(found)
    if (is_new and delivery.out is None) or confirm is not None:
        keep_page(plan.experiment, delivery.out, tracking_uri, listener, result.run)
    return open_result(result, tracking_uri)


def count_graphs(experiment: str, uri: str, run: str | None = None) -> int:
    """Return how many graphs can be confirmed: the race's trainings are none of their own.

    run: of the search; default: the experiment's last one.
    """
    from ktg.searching.history import read_last_search
    from ktg.tracking import find_experiment

    return sum(1 for _ in read_last_search(find_experiment(experiment, uri), run).distinct())


def open_result(result: "Result", tracking_uri: str | None) -> "SearchResult":
    """Return a result with what Python wants of it: its model, its trials, how it is shown."""
    from ktg.api.search_result import SearchResult

    return SearchResult.of(result, tracking_uri)


def plan_search(
    given: Delivery,
    read_past: "Callable[[str], ResumedSearch] | None",
    listener: Listener = QUIET,
    places: Sequence[str] = (),
) -> SearchPlan:
    """Return the name and the space of a search.

    read_past: returns by the name what was done of it before, for a search that goes on. places:
    see `check_same`.
    """
    space, name = given.space, given.name
    if read_past and isinstance(space, str | Path) and not Path(space).is_file():
        experiment = name or str(space)
        earlier = read_past(experiment)
        warn_of_unheard(listener, weights=given.weights)
        return SearchPlan(experiment, earlier.space, earlier)
    loaded = inputs.read_space(space, given.weights)
    experiment = inputs.name_experiment(loaded, space, name)
    past = read_past(experiment) if read_past else None
    with inputs.name_given_file(space):
        loaded = settle_space_nodes(loaded, listener, past=past.space if past else None)
        loaded = settle_space_noise(loaded, listener)
    if past is None:
        return SearchPlan(experiment, loaded)
    check_same(loaded, past.space, experiment, space, places)
    if new := list_new_options(loaded, past.space):
        why = "the search began without them, so it goes on without them"
        listener.warn(f"left out: {join_names(new)}: {why}")
    return SearchPlan(experiment, dataclasses.replace(past.space, search=loaded.search), past)


def read_earlier(experiments: Sequence[str], uri: str | None) -> "list[StoredSearch]":
    """Return the searches of experiments to learn from. Raises UserError for one that has none."""
    if not experiments:
        return []
    from ktg.searching.prior import read_searches
    from ktg.tracking import find_experiment

    if uri is None:
        raise UserError("learn_from: needs a store to read searches from; give a tracking_uri")
    return read_searches([find_experiment(name, uri) for name in experiments])


def check_learns(space: SearchSpace) -> None:
    """Raise UserError for a search whose sampler cannot learn from others."""
    if space.search.sampler not in ("tpe", "gp"):
        problem = f"the sampler {space.search.sampler} learns nothing"
        raise UserError(f"--learn-from: {problem}; allowed for search.sampler: tpe, gp")
    if not space.search.baselines:
        problem = "trials are told by how far they are ahead of the baseline alone"
        raise UserError(f"--learn-from: {problem}, which search.baselines: false leaves out")


def check_confirmable(space: SearchSpace, top: int, uri: str | None, listener: Listener) -> None:
    """Raise UserError for a search that could not be confirmed afterwards."""
    from ktg.searching.confirm.check import check_test

    if uri is None:
        raise UserError("confirm: needs a store to read the search from; give a tracking_uri")
    check_test(space, top, listener.decoding)


def run(
    plan: SearchPlan,
    missing_sources: "Missing",
    uri: str | None,
    address: str | None,
    storage: Path | None,
    held: ExitStack,
    listener: Listener,
    delivery: Delivery,
    on_trial: "Callable[[EndedTrial], None] | None" = None,
    earlier: "Sequence[StoredSearch]" = (),
    places: Sequence[str] = (),
) -> "tuple[Result, bool]":
    """Train the plan with a tracker; return the result, and whether MLflow has stored all of it."""
    from ktg.searching.run import search
    from ktg.tracking import MlflowTracker, make_stop_check

    past = plan.past

    def tell_minutes() -> None:
        for said in describe_time(plan.space.bind(plan.space.default()), plan.space).values():
            listener.say(f"{plan.experiment}: {said}")

    # On a cluster other machines train, and for a folder the minutes have been told.
    untold = past is None and address is None and delivery.prepared is None
    with inputs.open_tracker(plan.experiment, uri, listener) as tracker:
        stop = None
        if uri is not None:
            heard = None if past else listener
            end_dead_and_count(plan.experiment, uri, tracker, heard, storage)
            stop = make_stop_check(plan.experiment, uri, past.tags if past else {})
        result = search(
            plan.space,
            plan.experiment,
            tracker,
            missing_sources=missing_sources,
            console=listener.console,
            address=address,
            storage=storage,
            decoding=listener.decoding,
            past=past,
            stop_asked=stop,
            held=held,
            reserve=delivery.make_reserve(plan.space),
            on_checked=tell_minutes if untold else None,
            on_trial=on_trial,
            learn_from=earlier,
            places=places,
        )
        return result, isinstance(tracker, MlflowTracker) and tracker.close() is None


def check_budget(budget: str | None) -> str | None:
    """Return a budget. Raises UserError for one that is no time."""
    if budget is not None:
        try:
            parse_duration(budget)
        except ValueError:
            allowed = "allowed: a time such as 90s, 30m, 2h or 1h30m"
            raise UserError(f"--budget: {show(budget)} is no time; {allowed}") from None
    return budget


def end_dead_and_count(
    experiment: str,
    uri: str,
    tracker: "Tracker",
    listener: Listener | None,
    storage: Path | None = None,
) -> None:
    """End this experiment's searches whose driver died; say to a listener how many there are."""
    from ktg.searching.driver_lock import end_dead_searches
    from ktg.tracking import find_experiment

    with suppress(UserError):  # a store that is away, or not there yet, is no reason not to search
        found = find_experiment(experiment, uri)
        end_dead_searches(found, tracker, storage)
        number = len(found.of_kind("search"))
        if number and listener:
            held = "1 search" if number == 1 else f"{number} searches"
            said = f"a new search is added to experiment {experiment}, which holds {held}"
            listener.say(f"{said}; another --seed makes it differ")
