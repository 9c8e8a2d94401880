"""Which graphs of a search are worth a last word: its best ones, and all its baselines."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ktg.errors import UserError
from ktg.graph import Graph, SearchSpace, parse, parse_space
from ktg.graph.canonical import canonical_key, seedless_key
from ktg.graph.yaml_files import loads
from ktg.searching.baselines import alone
from ktg.searching.driver_lock import is_dead
from ktg.tracking import Experiment, RunRecord

FIRST_SEED = 1000
BEST = "best graph"
CONTROL = "tuned alone"


@dataclass(frozen=True)
class Candidate:
    """A graph of a search. `rank` is its place on the validation split, from 1, None below those that were asked for.

    `val_accuracy`, in [0, 1], is that of the search, by which it was chosen; None for a control,
    not trained there.
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
class Candidates:
    """A search that is over, its candidates in order of rank with the baselines after them, and its seeds."""

    search: RunRecord
    space: SearchSpace
    graphs: tuple[Candidate, ...]
    used_seeds: frozenset[int]

    def seeds(self, number: int) -> list[int]:
        """Return so many seeds that the search has not used, the same ones every time."""
        last = FIRST_SEED + number + len(self.used_seeds)
        return [seed for seed in range(FIRST_SEED, last) if seed not in self.used_seeds][:number]


def read_candidates(experiment: Experiment, top: int) -> Candidates:
    """Return the `top` best graphs of an experiment's last search, by validation accuracy, and all its baselines.

    Last comes the control of the best, where it is another graph than the baseline alone.
    Raises UserError where there is no search, one that still runs, or one with fewer finished
    graphs than `top`.
    """
    if top < 1:
        raise UserError(f"--top: at least one graph is to be confirmed, got {top}")
    search = last_search(experiment)
    trials = [trial for trial in experiment.trials(search) if trial.tags.get("kind") == "trial"]
    finished = [
        trial for trial in trials if trial.state == "finished" and "val_accuracy" in trial.metrics
    ]
    if not finished:
        raise UserError(
            f"experiment {experiment.name!r} has no finished trial; there is nothing to confirm"
        )
    finished.sort(
        key=lambda trial: (-trial.metrics["val_accuracy"], trial.metrics.get("val_loss", 0.0))
    )
    ranked = list(_ranked(experiment, finished, top))
    if len(ranked) < top:
        raise UserError(
            f"--top: {top} graphs are asked for, and the search of {experiment.name!r} trained {len(ranked)} to the end"
        )
    known = {candidate.trial for candidate in ranked}
    others = [
        trial for trial in finished if trial.tags.get("baseline") and number_of(trial) not in known
    ]
    others.sort(key=number_of)
    return Candidates(
        search=search,
        space=parse_space(loads(experiment.read_artifact(search, "space.yaml"), "space.yaml")),
        graphs=with_control([*ranked, *(_candidate(experiment, trial, None) for trial in others)]),
        used_seeds=frozenset(int(trial.tags["seed"]) for trial in trials if "seed" in trial.tags),
    )


def with_control(graphs: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return candidates with a control of the first: its target alone, with all the settings that the search found.

    Baselines have the space's defaults. So of a graph that is better than `alone` this tells
    whether it is for what its networks teach each other, or for a better learning rate. An ensemble
    has none.
    """
    best = graphs[0]
    control = replace(best.graph, edges=alone(best.graph))
    if best.graph.ensemble or canonical_key(control) in {canonical_key(each.graph) for each in graphs}:
        return tuple(graphs)
    return (*graphs, Candidate(best.trial, None, CONTROL, None, control))


def last_search(experiment: Experiment) -> RunRecord:
    """Return the last search of an experiment; raise UserError when there is none, or when it still runs."""
    search = next(iter(experiment.of_kind("search")), None)
    if search is None:
        raise UserError(
            f"experiment {experiment.name!r} holds no search; run `ktg search SPACE --name {experiment.name}`"
        )
    if search.state == "running" and not is_dead(search.tags):
        raise UserError(
            f"the search of {experiment.name!r} is still running; wait for its end, or `ktg stop {experiment.name}`"
        )
    return search


def number_of(trial: RunRecord) -> str:
    """Return a trial's name without what kind of baseline it is."""
    return trial.name.partition(" ")[0]


def ordinal(number: int) -> str:
    """Return 2nd for 2."""
    word = (
        "th"
        if re.search(r"1\d$", str(number))
        else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    )
    return f"{number}{word}"


def _ranked(experiment: Experiment, finished: list[RunRecord], top: int) -> Iterator[Candidate]:
    """Yield the best graphs; of graphs that differ in their seed alone only the best."""
    seen: set[str] = set()
    for trial in finished:
        if len(seen) == top:
            return
        candidate = _candidate(experiment, trial, len(seen) + 1)
        if seedless_key(candidate.graph) not in seen:
            seen.add(seedless_key(candidate.graph))
            yield candidate


def _candidate(experiment: Experiment, trial: RunRecord, rank: int | None) -> Candidate:
    text = experiment.read_artifact(trial, "graph.yaml")
    return Candidate(
        trial=number_of(trial),
        rank=rank,
        baseline=trial.tags.get("baseline"),
        val_accuracy=trial.metrics["val_accuracy"],
        graph=parse(loads(text, f"graph.yaml of {trial.name}")),
    )
