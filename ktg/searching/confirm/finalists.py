"""Chooses the graphs of a search to confirm: its best ones, and all its baselines."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ktg.errors import UserError
from ktg.graph import Graph, SearchSpace
from ktg.graph.canonical import canonical_key
from ktg.searching.baselines import alone
from ktg.searching.history import read_last_search
from ktg.searching.stored_search import StoredSearch, StoredTrial
from ktg.searching.trial import TUNED_ALONE
from ktg.tracking import Experiment, name_store

FIRST_SEED = 1000
BEST = "best graph"
CONTROL = TUNED_ALONE


@dataclass(frozen=True)
class Finalist:
    """A graph to confirm. `rank` is its place on the validation split, from 1, None below the best.

    `val_accuracy`, in [0, 1], is that of the search, by which it was chosen; None for a control,
    which the search has not trained.
    """

    trial: str
    rank: int | None
    baseline: str | None
    val_accuracy: float | None
    graph: Graph

    @property
    def what(self) -> str:
        """What it is called: by its rank where it has one, else as a baseline."""
        if self.rank is None:
            return self.baseline or self.trial
        return BEST if self.rank == 1 else f"{ordinal(self.rank)} best"


@dataclass(frozen=True)
class Finalists:
    """The graphs to confirm, of a search that is over: the best, the baselines, a control."""

    search: StoredSearch
    graphs: tuple[Finalist, ...]
    used_seeds: frozenset[int]

    @property
    def space(self) -> SearchSpace:
        """The space that was searched."""
        return self.search.space

    def seeds(self, number: int) -> list[int]:
        """Return so many seeds that the search has not used, the same ones every time."""
        last = FIRST_SEED + number + len(self.used_seeds)
        return [seed for seed in range(FIRST_SEED, last) if seed not in self.used_seeds][:number]


def read_finalists(experiment: Experiment, top: int, run: str | None = None) -> Finalists:
    """Return the `top` best graphs of a search, and all its baselines.

    run: of the search; default: the experiment's last one. Of graphs that differ in their seed
    alone only the best counts, and of baselines with one name only the latest: where weights have
    gone, or ktg has changed, a search that is resumed trains them anew. Last comes the control: the
    best of the target by itself that the search has found in trials of its own, or else the target
    with all settings of the best graph.
    Raises UserError where no search has a finished trial, where the last one with any still runs,
    or where it has fewer finished graphs than `top`.
    """
    if top < 1:
        raise UserError(f"--top: at least one graph is to be confirmed, got {top}")
    search, name = read_last_search(experiment, run), experiment.name
    if search.state == "running":
        stop = shlex.join(["ktg", "stop", name, *name_store(experiment.uri)])
        raise UserError(f"the search of {name!r} is still running; wait for its end, or `{stop}`")
    baselines = {one.baseline: one for one in search.finished if one.baseline}
    best = [
        _to_finalist(trial, rank, baselines)
        for rank, trial in zip(range(1, top + 1), search.distinct(), strict=False)
    ]
    if len(best) < top:
        raise UserError(
            f"--top: {top} graphs are asked for, and the search of {name!r} trained {len(best)} to "
            "the end"
        )
    known = {finalist.trial for finalist in best}
    others = [one for one in baselines.values() if one.name not in known]
    others.sort(key=lambda trial: trial.name)
    seeds = (trial.run.tags.get("seed") for trial in (*search.trials, *search.repeats))
    graphs = [*best, *(_to_finalist(trial, None, baselines) for trial in others)]
    tuned = search.tuned_alone
    if tuned is None:
        graphs = list(with_control(graphs))
    elif tuned.name not in known:
        graphs.append(replace(_to_finalist(tuned, None, baselines), baseline=CONTROL))
    return Finalists(
        search=search,
        graphs=tuple(graphs),
        used_seeds=frozenset(int(seed) for seed in seeds if seed is not None),
    )


def with_control(graphs: Sequence[Finalist]) -> tuple[Finalist, ...]:
    """Return finalists with a control of the first: its target alone, with all its settings.

    Baselines have the space's defaults. A graph that is better than `alone` may thus be better for
    what its networks teach each other, or just for a better learning rate; the control tells. An
    ensemble has none.
    """
    best = graphs[0]
    control = replace(best.graph, edges=alone(best.graph))
    known = {canonical_key(each.graph) for each in graphs}
    if best.graph.ensemble or canonical_key(control) in known:
        return tuple(graphs)
    return (*graphs, Finalist(best.trial, None, CONTROL, None, control))


def ordinal(number: int) -> str:
    """Return a number as a place: 2 -> 2nd, 11 -> 11th, 21 -> 21st."""
    is_teen = re.search(r"1\d$", str(number)) is not None
    return f"{number}{'th' if is_teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _to_finalist(
    trial: StoredTrial, rank: int | None, baselines: Mapping[str, StoredTrial]
) -> Finalist:
    """Return a trial to confirm; baselines: those that count, by their names."""
    # One that a later baseline has replaced is a graph like any other.
    baseline = trial.baseline if baselines.get(trial.baseline or "") is trial else None
    return Finalist(trial.name, rank, baseline, trial.accuracy, trial.graph)
