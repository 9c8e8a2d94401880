"""Calls a function of the user's when a trial has ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ktg.graph import Graph
from ktg.searching.trial import State, Trial
from ktg.searching.values import Values


@dataclass(frozen=True)
class EndedTrial:
    """A trial that has ended, as a function of the user's sees it.

    what: the name of a baseline, of an arm, or empty. score: by the metric of the search, higher is
    better. graph: what was trained. values: what fills the holes, None outside of the space.
    metrics: of the last epoch, by the names of the tracking store. reason: why it failed.
    """

    number: int
    name: str
    what: str
    state: State
    score: float
    graph: Graph
    values: Values | None
    metrics: Mapping[str, float]
    epoch: int
    train_s: float
    reason: str | None

    @classmethod
    def of(cls, trial: Trial) -> "EndedTrial":
        """Return what is told of a trial."""
        return cls(
            number=trial.number,
            name=trial.name,
            what=trial.baseline or trial.arm or "",
            state=trial.state,
            score=trial.score,
            graph=trial.graph,
            values=trial.values,
            metrics=dict(trial.metrics),
            epoch=trial.epoch,
            train_s=trial.train_s,
            reason=trial.reason,
        )


class TrialCallback:
    """An observer that calls a function with each trial that has ended.

    error: what the function raised, None for nothing. It is not called again then.
    """

    def __init__(self, call: Callable[[EndedTrial], None]) -> None:
        self.call = call
        self.error: Exception | None = None

    def on_start(self, trial: Trial) -> None:
        """Do nothing."""

    def on_epoch(self, trial: Trial) -> None:
        """Do nothing."""

    def on_end(self, trial: Trial) -> None:
        """Call the function; keep what it raises, for Ray would hide it."""
        if self.error is None:
            try:
                self.call(EndedTrial.of(trial))
            except Exception as error:
                self.error = error
