"""A search as the store has it: its space, its trials with their curves, and the best one."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime

from ktg.errors import KtgError, UserError
from ktg.graph import Graph, SearchSpace, parse, parse_space
from ktg.graph.yaml_files import loads
from ktg.searching.history import values_of
from ktg.searching.sampler import Values
from ktg.tracking import Experiment, RunRecord
from ktg.version import __version__


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A trained graph. `curve` has the target's validation accuracy after each epoch; `epochs` is the full budget.

    `values` fill the holes of the space, None for a baseline that the space does not hold.
    `train_s` is the time of training in seconds, all its epochs together.
    """

    run: RunRecord
    values: Values | None
    epochs: int
    curve: tuple[float, ...]
    train_s: float

    @property
    def name(self) -> str:
        """The trial's name without what kind of baseline it is."""
        return self.run.name.partition(" ")[0]

    @property
    def state(self) -> str:
        """One of running, finished, stopped, failed, interrupted."""
        return self.run.state

    @property
    def baseline(self) -> str | None:
        """Which baseline it is, None for what the sampler chose."""
        return self.run.tags.get("baseline")

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        return len(self.curve)

    @property
    def accuracy(self) -> float:
        """The target's validation accuracy after the last epoch, in [0, 1]; 0 when there was none."""
        return self.curve[-1] if self.curve else 0.0

    @property
    def loss(self) -> float:
        """The target's validation cross-entropy after the last epoch, in nats."""
        return self.run.metrics.get("val_loss", float("inf"))


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """A search: its run, its space, its trials in the order of their start, and the proposals it did not train."""

    experiment: Experiment
    run: RunRecord
    space: SearchSpace
    trials: tuple[Trial, ...]
    duplicates: tuple[RunRecord, ...]

    @property
    def best(self) -> Trial:
        """The most accurate finished trial; of equals, that of lower loss."""
        return max(self.finished, key=lambda trial: (trial.accuracy, -trial.loss))

    @property
    def finished(self) -> list[Trial]:
        """The trials that were trained to their end."""
        return [trial for trial in self.trials if trial.state == "finished"]

    @property
    def sampled(self) -> list[Trial]:
        """The trials that the sampler chose and that say something of their graph: no baselines, no failed ones."""
        return [
            t
            for t in self.trials
            if t.baseline is None and t.values is not None and t.state != "failed"
        ]

    def graph(self, trial: Trial) -> Graph:
        """Return a trial's own graph."""
        where = f"graph.yaml of {trial.run.name}"
        return parse(loads(self.experiment.read_artifact(trial.run, "graph.yaml"), where))


def read_search(experiment: Experiment) -> SearchRecord:
    """Return the last search of an experiment that has a finished trial; it may still be running.

    Raises UserError when there is none, and for a search that this version cannot read.
    """
    searches = experiment.of_kind("search")
    if not searches:
        raise UserError(
            f"experiment {experiment.name!r} holds no search; run `ktg search SPACE --name {experiment.name}`"
        )
    for run in searches:
        children = experiment.trials(run)
        if any(child.state == "finished" and "val_accuracy" in child.metrics for child in children):
            return _record(experiment, run, children)
    running = searches[0].state == "running"
    advice = "its search is still running: wait for one" if running else "search again"
    raise UserError(f"experiment {experiment.name!r} has no finished trial; {advice}")


def _record(experiment: Experiment, run: RunRecord, children: list[RunRecord]) -> SearchRecord:
    space = read_space(experiment, run)
    trials = tuple(
        _trial(experiment, space, child) for child in children if child.tags.get("kind") == "trial"
    )
    duplicates = tuple(child for child in children if child.tags.get("kind") == "duplicate")
    record = SearchRecord(
        experiment=experiment, run=run, space=space, trials=trials, duplicates=duplicates
    )
    if not record.finished:
        raise UserError(_unreadable(run, "its trials are not marked as such"))
    return record


def read_space(experiment: Experiment, run: RunRecord) -> SearchSpace:
    """Return the space that was searched; raise UserError when this version cannot read it."""
    try:
        return parse_space(loads(experiment.read_artifact(run, "space.yaml"), "space.yaml"))
    except KtgError as error:
        raise UserError(_unreadable(run, str(error))) from error


def _unreadable(run: RunRecord, why: str) -> str:
    version = run.tags.get("version.ktg-automl", "another version")
    return (
        f"search {run.name!r} was made by ktg {version} and cannot be read by {__version__}: {why}"
    )


def _trial(experiment: Experiment, space: SearchSpace, run: RunRecord) -> Trial:
    # A resumed trial logs some epochs twice: what was logged last counts.
    curve = dict(experiment.history(run, "val_accuracy"))
    kept = itertools.takewhile(lambda epoch: epoch in curve, itertools.count(1))
    tag = run.tags.get("train_s")
    train_s = sum(dict(experiment.history(run, "epoch_s")).values()) if tag is None else float(tag)
    found = values_of(space.holes, run.params)
    values = found if found.keys() == space.holes.keys() else None
    return Trial(
        run=run,
        values=values,
        epochs=space.bind(space.default() if values is None else values).train.epochs,
        curve=tuple(curve[epoch] for epoch in kept),
        train_s=train_s,
    )


def utc(seconds: float) -> str:
    """Return a time in seconds since 1970 as a reader wants it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
