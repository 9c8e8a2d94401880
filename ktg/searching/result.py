"""Summarizes a search: the best graph, the baselines beside it, what was spent and saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ktg.graph import Graph, dump
from ktg.searching.advice import Advice, Candidate, advise_by_validation, measure_effort
from ktg.searching.trials import SearchQueue, Trial


@dataclass(frozen=True)
class ResultRow:
    """One line of the final table: accuracy in [0, 1] and loss in nats on the validation split."""

    what: str
    trial: str
    accuracy: float
    loss: float
    train_s: float


@dataclass(frozen=True)
class Result:
    """The end of a search. `best` is None when no trial finished.

    `wall_s` counts from the first record in the tracking store, once Ray has started: so do `ktg
    status` and the pages. `confirmation` is what `ktg confirm --json` prints of it, None where that
    was not asked for.
    """

    name: str
    best: Graph | None
    rows: tuple[ResultRow, ...]
    finished: int
    stopped: int
    failed: int
    duplicates: int
    epochs: int
    epochs_saved: int
    wall_s: float
    interrupted: bool
    exhausted: bool
    commonest_failure: str | None
    confirmation: Mapping[str, Any] | None = None
    ship: Advice | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        apart = ("best", "rows", "ship")
        plain = {key: value for key, value in vars(self).items() if key not in apart}
        plain["rows"] = [vars(row) for row in self.rows]
        plain["ship"] = self.ship and self.ship.to_json()
        return plain | {"best": None if self.best is None else dump(self.best)}


def summarize_search(
    queue: SearchQueue, name: str, wall_s: float, images: int | None = None
) -> Result:
    """Return the result of a search from its queue; images: how many it chose by, if known."""
    best, stopped = queue.best, queue.in_state("stopped")
    reasons = [trial.reason or "" for trial in queue.in_state("failed")]
    shown = [("best graph", best)] if best else []
    shown += [(one.baseline, one) for one in queue.in_state("finished") if one.baseline]
    saved_by_stopping = sum(trial.graph.train.epochs - trial.epoch for trial in stopped)
    return Result(
        name=name,
        best=best.graph if best else None,
        rows=tuple(
            ResultRow(what, trial.name, trial.accuracy, trial.loss, trial.train_s)
            for what, trial in shown
        ),
        finished=len(queue.in_state("finished")),
        stopped=len(stopped),
        failed=len(reasons),
        duplicates=len(queue.duplicates),
        epochs=sum(trial.epoch for trial in queue.trials),
        epochs_saved=saved_by_stopping + sum(one.of.epoch for one in queue.duplicates),
        wall_s=wall_s,
        interrupted=queue.is_interrupted,
        exhausted=queue.exhausted,
        commonest_failure=max(reasons, key=reasons.count, default=None),
        ship=_advise(shown, images),
    )


def _advise(shown: Sequence[tuple[str, Trial]], images: int | None) -> Advice | None:
    """Return which of the shown trials to ship; a best that is a baseline counts once, as that."""
    named = {trial.number: (what, trial) for what, trial in shown}
    candidates = [
        Candidate(what, f"trial-{number:04d}", trial.accuracy, effort)
        for number, (what, trial) in named.items()
        for effort in [measure_effort(trial.graph, trial.train_s)]
    ]
    return advise_by_validation(candidates, images)
