"""Reads an interrupted search back from the tracking store, so that it can go on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ktg.errors import SpecError, UserError, show
from ktg.graph import Choice, Graph, Hole, Int, SearchSpace, parse_space
from ktg.graph.canonical import key
from ktg.graph.yaml_files import loads
from ktg.searching.affinity import ARTIFACT, refused
from ktg.searching.baselines import baselines
from ktg.searching.sampler import Values, label
from ktg.searching.trials import Duplicate, Entry
from ktg.tracking import Experiment, RunRecord

CLOSED = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class Past:
    """What a search had done: `run` and `runs` (by trial number) are ids of the tracker, `tags` those of its run.

    `state` is how it ended ("running" where nothing ended it), `wall_s` how long it took until
    then, in seconds. An entry that is `running` was being trained when the search ended, and is to
    be trained again, or to its end; one that is `unended` had trained all its epochs, but the store
    was not told of its end.
    """

    run: str
    space: SearchSpace
    tags: Mapping[str, str]
    entries: Sequence[Entry]
    unended: Sequence[Entry]
    duplicates: Sequence[Duplicate]
    runs: Mapping[int, str]
    state: str = "interrupted"
    wall_s: float = 0.0

    @property
    def is_over(self) -> bool:
        """Whether it came to its end, so that only more trials than were planned could be added."""
        return (
            self.state == "finished"
            and not self.unended
            and all(one.state != "running" for one in self.entries)
        )


def read_past(experiment: Experiment) -> Past:
    """Return the last search of an experiment. Raises UserError when there is none, or none of this version of ktg."""
    searches = experiment.of_kind("search")
    if not searches:
        raise UserError(
            f"experiment {experiment.name!r} holds no search to go on with; start one without --resume"
        )
    search = searches[0]
    space = parse_space(loads(experiment.read_artifact(search, "space.yaml"), "space.yaml"))
    if ARTIFACT in experiment.artifacts(search):
        measured = json.loads(experiment.read_artifact(search, ARTIFACT))
        space = replace(space, unsupplied=space.unsupplied | refused(measured))
    records = experiment.trials(search)
    named = baselines(space)
    trials = {number_of(run.name): run for run in records if run.tags.get("kind") == "trial"}
    entries = {n: entry_of(experiment, run, n, space, named) for n, run in sorted(trials.items())}
    duplicates = [
        Duplicate(values_of(space.holes, run.params), entries[number])
        for run in records
        if run.tags.get("kind") == "duplicate"
        and (number := number_of(run.tags["duplicate_of"])) in entries
    ]
    return Past(
        run=search.run,
        space=space,
        tags=search.tags,
        entries=list(entries.values()),
        unended=[
            entry
            for n, entry in entries.items()
            if entry.state in CLOSED and trials[n].state not in CLOSED
        ],
        duplicates=duplicates,
        runs={number: run.run for number, run in trials.items()},
        state=search.state,
        wall_s=(search.end_s or search.start_s) - search.start_s,
    )


def entry_of(
    experiment: Experiment,
    run: RunRecord,
    number: int,
    space: SearchSpace,
    named: Mapping[str, Graph],
) -> Entry:
    """Return a trial as the ledger had it."""
    baseline = run.tags.get("baseline")
    values = values_of(space.holes, run.params) if run.params else None
    graph = graph_of(space, baseline, values, named)
    if graph is None or key(graph) != run.tags["key"]:
        raise UserError(
            f"{run.name} of {experiment.name!r} is not what this version of ktg makes of it; the search cannot go on: "
            f"start a new one, with another --name"
        )
    accuracies = dict(experiment.history(run, "val_accuracy"))
    complete = max(accuracies, default=0) >= graph.train.epochs
    state: Any = run.state if run.state in CLOSED else "finished" if complete else "running"
    return Entry(
        number,
        graph.with_needed_weights(),
        run.tags["key"],
        baseline=baseline,
        values=values,
        state=state,
        reason=run.tags.get("reason") if state == "failed" else None,
        epoch=max(accuracies, default=0),
        accuracy=run.metrics.get("val_accuracy", 0.0),
        loss=run.metrics.get("val_loss", float("inf")),
        train_s=float(run.tags.get("train_s", 0.0)),
        metrics=dict(run.metrics),
        accuracies=accuracies,
    )


def graph_of(
    space: SearchSpace, baseline: str | None, values: Values | None, named: Mapping[str, Graph]
) -> Graph | None:
    """Return the graph of a trial, None for one that the space does not make (any more)."""
    if baseline is not None:
        return named.get(baseline)
    try:
        return space.bind(values or {})
    except SpecError:
        return None


def values_of(holes: Mapping[str, Hole], params: Mapping[str, str]) -> Values:
    """Return the values of holes that a store keeps as text."""
    return {path: value_of(hole, params[path]) for path, hole in holes.items() if path in params}


def value_of(hole: Hole, text: str) -> Any:
    """Return the value of a hole that `label`, and the store after it, made a text of."""
    if not isinstance(hole, Choice):
        return int(text) if isinstance(hole, Int) else float(text)
    for option in hole.options:
        if str(label(hole, option)) == text:
            return option
    raise UserError(
        f"{show(text)} is no option of {{choice: {show(list(hole.options))}}} (any more)"
    )


def number_of(name: str) -> int:
    """Return the number in the name of a trial, as `Entry.name` writes it."""
    return int(name.removeprefix("trial-").partition(" ")[0])
