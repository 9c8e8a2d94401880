"""Turns a stored search back into the trials of its queue, so that it can go on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ktg.errors import SpecError, UserError
from ktg.graph import Graph, SearchSpace
from ktg.graph.canonical import canonical_key
from ktg.searching.affinity import ARTIFACT, read_left_out
from ktg.searching.baselines import baselines
from ktg.searching.history import StoredSearch, StoredTrial, read_newest_search
from ktg.searching.trials import Duplicate, Trial
from ktg.searching.values import Values, parse_values
from ktg.tracking import Experiment

CLOSED = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class ResumedSearch:
    """What a search had done before it goes on; `runs` are the tracker's ids by trial number.

    A trial that is `running` was being trained when the search ended, and is trained again, or to
    its end. One that is `unended` had trained all its epochs, but the store does not know its end.
    """

    stored: StoredSearch
    space: SearchSpace
    trials: Sequence[Trial]
    unended: Sequence[Trial]
    duplicates: Sequence[Duplicate]
    runs: Mapping[int, str]

    @property
    def run(self) -> str:
        """The tracker's id of the search's own run."""
        return self.stored.run.run

    @property
    def tags(self) -> Mapping[str, str]:
        """The tags of the search's own run."""
        return self.stored.run.tags

    @property
    def is_over(self) -> bool:
        """Whether it came to its end, so that only more trials than planned could be added."""
        running = any(one.state == "running" for one in self.trials)
        return self.stored.state == "finished" and not self.unended and not running


def read_search_to_resume(experiment: Experiment) -> ResumedSearch:
    """Return the newest search of an experiment with the trials that it had trained.

    Raises UserError when there is none, or when this version of ktg would build other trials.
    """
    search = read_newest_search(experiment)
    space = search.space
    if ARTIFACT in experiment.artifacts(search.run):
        measured = json.loads(experiment.read_artifact(search.run, ARTIFACT))
        space = replace(space, missing_weights=space.missing_weights | read_left_out(measured))
    named = baselines(space)
    stored = {trial.number: trial for trial in search.trials}
    trials = {number: _to_trial(trial, space, named) for number, trial in sorted(stored.items())}
    return ResumedSearch(
        stored=search,
        space=space,
        trials=list(trials.values()),
        unended=[
            trial
            for number, trial in trials.items()
            if trial.state in CLOSED and stored[number].state not in CLOSED
        ],
        duplicates=[
            Duplicate(parse_values(space.holes, run.params), trials[number])
            for run in search.duplicates
            if (number := _number_of(run.tags["duplicate_of"])) in trials
        ],
        runs={number: trial.run.run for number, trial in stored.items()},
    )


def _to_trial(trial: StoredTrial, space: SearchSpace, named: Mapping[str, Graph]) -> Trial:
    """Return a trial as the queue had it."""
    run, experiment = trial.run, trial.search.experiment
    values = parse_values(space.holes, run.params) if run.params else None
    graph = _build_graph(space, trial.baseline, values, named)
    # The key is checked, because a changed ktg may build another graph from the same values.
    if graph is None or canonical_key(graph) != run.tags["key"]:
        raise UserError(
            f"{run.name} of {experiment.name!r} is not what this version of ktg makes of it; "
            "the search cannot go on: start a new one, with another --name"
        )
    accuracies = dict(experiment.history(run, "val_accuracy"))
    epoch = max(accuracies, default=0)
    complete = epoch >= graph.train.epochs
    state: Any = trial.state if trial.state in CLOSED else "finished" if complete else "running"
    return Trial(
        trial.number,
        graph.with_needed_weights(),
        run.tags["key"],
        baseline=trial.baseline,
        values=values,
        state=state,
        reason=run.tags.get("reason") if state == "failed" else None,
        epoch=epoch,
        accuracy=trial.accuracy,
        loss=trial.loss,
        train_s=float(run.tags.get("train_s", 0.0)),
        metrics=dict(run.metrics),
        accuracies=accuracies,
    )


def _build_graph(
    space: SearchSpace, baseline: str | None, values: Values | None, named: Mapping[str, Graph]
) -> Graph | None:
    """Return the graph of a trial, None for one that the space does not make (any more)."""
    if baseline is not None:
        return named.get(baseline)
    try:
        return space.bind(values or {})
    except SpecError:
        return None


def _number_of(name: str) -> int:
    """Return the number in the name of a trial: 7 of `trial-0007 (alone)`."""
    return int(name.removeprefix("trial-").partition(" ")[0])
