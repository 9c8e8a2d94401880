"""Summarizes a search: the best graph, the baselines beside it, what was spent and saved."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktg.graph import Graph, dump
from ktg.searching.trials import SearchQueue


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

    def to_json(self) -> dict[str, Any]:
        """Return the result as plain data."""
        plain = {key: value for key, value in vars(self).items() if key not in ("best", "rows")}
        plain["rows"] = [vars(row) for row in self.rows]
        return plain | {"best": None if self.best is None else dump(self.best)}


def summarize_search(queue: SearchQueue, name: str, wall_s: float) -> Result:
    """Return the result of a search from its queue."""
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
    )
