"""Turns a stored search back into the trials of its queue, so that it can go on."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ktg.errors import KtgError, UserError
from ktg.graph import Graph, SearchSpace
from ktg.graph.canonical import canonical_key, with_seed
from ktg.searching.affinity import ARTIFACT, read_left_out
from ktg.searching.arms import find_alone_space
from ktg.searching.baselines import baselines
from ktg.searching.history import read_newest_search
from ktg.searching.score import KEYS, read_score
from ktg.searching.stored_search import StoredSearch, StoredTrial
from ktg.searching.trial import TUNED_ALONE, Duplicate, Trial
from ktg.searching.values import Values, parse_values
from ktg.tracking import Experiment

SPENT = "spent_s"  # the tag with what was spent of a budget before the search began
CLOSED = ("finished", "stopped", "failed")


@dataclass(frozen=True)
class ResumedSearch:
    """What a search had done before it goes on; `runs` are the tracker's ids by trial number.

    A trial that is `running` was being trained when the search ended, and is trained again, or to
    its end; so is one that the budget cut off, where there is more time now. One that is `unended`
    had trained all its epochs, but the store does not know its end.
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
    def elapsed_s(self) -> float:
        """The seconds of its budget that it had spent."""
        return float(self.stored.run.metrics.get("elapsed_s", 0.0))

    @property
    def spent_s(self) -> float:
        """The seconds of its budget that were spent before it began."""
        return float(self.tags.get(SPENT, 0.0))

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
    named, alone = baselines(space), find_alone_space(space)
    stored = {trial.number: trial for trial in (*search.trials, *search.repeats)}
    trials: dict[int, Trial] = {}
    for number, trial in sorted(stored.items()):
        arm_space = alone if trial.arm == TUNED_ALONE else space
        trials[number] = _to_trial(trial, arm_space or space, named, trials)
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


def _to_trial(
    trial: StoredTrial,
    space: SearchSpace,
    named: Mapping[str, Graph],
    before: Mapping[int, Trial],
) -> Trial:
    """Return a trial as the queue had it. space: of its arm; before: trials of lower numbers."""
    run, experiment = trial.run, trial.search.experiment
    values = parse_values(space.holes, run.params) if run.params else None
    graph = _build_graph(trial, space, values, named, before)
    # The key is checked, because a changed ktg may build another graph from the same values.
    if graph is None or canonical_key(graph) != run.tags["key"]:
        raise UserError(
            f"{run.name} of {experiment.name!r} is not what this version of ktg makes of it; "
            "the search cannot go on: start a new one, with another --name"
        )
    metric = space.search.metric
    history = dict(experiment.history(run, KEYS[metric]))
    scores = {epoch: read_score(metric, {KEYS[metric]: value}) for epoch, value in history.items()}
    epoch = max(history, default=0)
    complete = bool(history) and epoch >= graph.train.epochs
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
        train_s=trial.train_s,
        epoch_times=_read_epoch_times(trial),
        metrics=dict(run.metrics),
        scores=scores,
        arm=trial.arm,
        race_of=trial.race_of,
        rung=int(run.tags["rung"]) if "rung" in run.tags else None,
        folds=None if trial.fold is None else space.search.folds,
        fold=trial.fold,
        metric=metric,
        said=trial.said,
    )


def _read_epoch_times(trial: StoredTrial) -> list[float]:
    """Return the seconds of a trial's epochs, none where they were not recorded.

    What is recorded of an epoch lacks what came before the first one, such as the making of its
    teachers; of a trial that has ended, all its seconds are known.
    """
    recorded = dict(trial.search.experiment.history(trial.run, "epoch_s"))
    times = [recorded[epoch] for epoch in sorted(recorded)]
    if times:
        times[0] += max(0.0, trial.train_s - sum(times))
    return times


def _build_graph(
    trial: StoredTrial,
    space: SearchSpace,
    values: Values | None,
    named: Mapping[str, Graph],
    before: Mapping[int, Trial],
) -> Graph | None:
    """Return the graph of a trial, None for one that the space does not make (any more).

    A baseline may have been made when more trials were planned, while other weights were missing,
    or by an older ktg: then it is the one that was trained, and that of now comes beside it.
    """
    if trial.race_of is not None:
        original = before.get(trial.race_of)
        return None if original is None else with_seed(original.graph, trial.seed)
    if trial.baseline is not None:
        graph = named.get(trial.baseline)
        same = graph is not None and canonical_key(graph) == trial.run.tags["key"]
        return graph if same else trial.graph
    try:
        return space.bind(values or {})
    except KtgError:
        return None


def _number_of(name: str) -> int:
    """Return the number in the name of a trial: 7 of `trial-0007 (alone)`."""
    return int(name.removeprefix("trial-").partition(" ")[0])
