"""How a search stands, read from the tracking store: by whoever can read it, from wherever."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ktg.errors import UserError
from ktg.tracking import Experiment, RunRecord

STATES = ("running", "finished", "stopped", "failed", "interrupted", "duplicate")


@dataclass(frozen=True)
class Trial:
    """A trial that is running: the epochs it has done, and its last validation accuracy in [0, 1], None before any."""

    name: str
    epoch: int
    accuracy: float | None


@dataclass(frozen=True)
class Status:
    """A search as of now. `planned` counts trials without baselines and duplicates; `wall_s` ends with the search.

    `start_s` is in seconds since 1970.
    """

    name: str
    state: str
    planned: int
    counts: Mapping[str, int]
    best: str | None
    best_accuracy: float | None
    running: tuple[Trial, ...]
    start_s: float
    wall_s: float

    def to_json(self) -> dict[str, Any]:
        """Return the status as plain data."""
        return {**vars(self), "counts": dict(self.counts), "running": [vars(trial) for trial in self.running]}


def statuses(experiments: Iterable[Experiment]) -> list[Status]:
    """Return how the last search of each experiment that holds one stands, the one that began last first."""
    found = [_status(one, searches[0]) for one in experiments if (searches := one.of_kind("search"))]
    return sorted(found, key=lambda status: -status.start_s)


def status_of(experiment: Experiment) -> Status:
    """Return how the last search of an experiment stands. Raises UserError when there is none."""
    searches = experiment.of_kind("search")
    if not searches:
        raise UserError(f"experiment {experiment.name!r} holds no search")
    return _status(experiment, searches[0])


def _status(experiment: Experiment, search: RunRecord) -> Status:
    runs = experiment.trials(search)
    counts = Counter(run.state for run in runs)
    finished = [run for run in runs if run.state == "finished" and "val_accuracy" in run.metrics]
    best = max(finished, key=lambda run: (run.metrics["val_accuracy"], -run.metrics["val_loss"]), default=None)
    return Status(
        name=experiment.name,
        state=search.state,
        planned=int(search.params.get("search.trials", 0)),
        counts={state: counts[state] for state in STATES},
        best=best.name if best else None,
        best_accuracy=best.metrics["val_accuracy"] if best else None,
        running=tuple(running(experiment, run) for run in runs if run.state == "running"),
        start_s=search.start_s,
        wall_s=(search.end_s or time.time()) - search.start_s,
    )


def running(experiment: Experiment, run: RunRecord) -> Trial:
    """Return a running trial as far as it has come."""
    history = experiment.history(run, "val_accuracy")
    epoch, accuracy = history[-1] if history else (0, None)
    return Trial(run.name, epoch, accuracy)
