"""How a search and its confirmation stand, read from the tracking store: by whoever can read it, from wherever."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ktg.errors import UserError
from ktg.searching.confirm.store import TRAININGS_TAG, confirmations_of, result
from ktg.tracking import Experiment, RunRecord

STATES = ("running", "finished", "stopped", "failed", "interrupted", "duplicate")


@dataclass(frozen=True)
class Trial:
    """A trial that is running: the epochs it has done, and its last validation accuracy in [0, 1], None before any."""

    name: str
    epoch: int
    accuracy: float | None


@dataclass(frozen=True)
class Confirming:
    """A search's confirmation as of now. `sentence` says what it proved, None before its end.

    `trainings` is what the last call asked for; `finished` and `failed` count those of earlier
    calls too.
    """

    state: str
    trainings: int
    finished: int
    failed: int
    running: tuple[Trial, ...]
    sentence: str | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**vars(self), "running": [vars(trial) for trial in self.running]}


@dataclass(frozen=True)
class Status:
    """A search as of now. `planned` counts trials without baselines and duplicates; `wall_s` ends with the search.

    `start_s` is in seconds since 1970; `confirmation` is the last that began, None where there is
    none.
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
    confirmation: Confirming | None

    @property
    def going_on(self) -> bool:
        """Whether the search or its confirmation is running."""
        return "running" in (self.state, self.confirmation and self.confirmation.state)

    def to_json(self) -> dict[str, Any]:
        """Return the status as plain data."""
        plain = {
            **vars(self),
            "counts": dict(self.counts),
            "running": [vars(trial) for trial in self.running],
        }
        return plain | {"confirmation": self.confirmation and self.confirmation.to_json()}


def statuses(experiments: Iterable[Experiment]) -> list[Status]:
    """Return how the last search of each experiment that holds one stands, the one that began last first."""
    found = [
        _status(one, searches[0]) for one in experiments if (searches := one.of_kind("search"))
    ]
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
    best = max(
        finished,
        key=lambda run: (run.metrics["val_accuracy"], -run.metrics["val_loss"]),
        default=None,
    )
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
        confirmation=_confirming(experiment, search),
    )


def _confirming(experiment: Experiment, search: RunRecord) -> Confirming | None:
    found = next(iter(confirmations_of(experiment, search.id)), None)
    if found is None:
        return None
    runs = experiment.trials(found)
    counts = Counter(run.state for run in runs)
    return Confirming(
        state=found.state,
        trainings=int(found.tags.get(TRAININGS_TAG, len(runs))),
        finished=counts["finished"],
        failed=counts["failed"],
        running=tuple(running(experiment, run) for run in runs if run.state == "running"),
        sentence=result(experiment, found).get("sentence"),
    )


def running(experiment: Experiment, run: RunRecord) -> Trial:
    """Return a running trial, or training of a confirmation, as far as it has come."""
    history = experiment.history(run, "val_accuracy")
    if not history:  # a confirmation validates on nothing
        return Trial(
            run.name,
            max((epoch for epoch, _ in experiment.history(run, "epoch_s")), default=0),
            None,
        )
    return Trial(run.name, *history[-1])
