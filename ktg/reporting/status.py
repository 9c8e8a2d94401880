"""Reads the status of searches and their confirmations from the tracking store."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ktg.errors import KtgError
from ktg.reporting.levels import Level, read_level
from ktg.searching.confirm.store import TRAININGS_TAG, find_confirmations, read_result
from ktg.searching.driver_lock import find_state
from ktg.searching.history import find_searches, read_newest_search
from ktg.searching.stored_search import StoredSearch
from ktg.tracking import Experiment, RunRecord

STATES = ("running", "finished", "stopped", "failed", "interrupted", "duplicate")


@dataclass(frozen=True)
class RunningTrial:
    """A trial that is running: its epochs so far, and its last validation accuracy in [0, 1]."""

    name: str
    epoch: int
    accuracy: float | None


@dataclass(frozen=True)
class ConfirmationStatus:
    """The current status of a confirmation. `sentence`: what the last call that ended has proven.

    `trainings` is what the last call asked for; `finished` and `failed` count those of earlier
    calls too.
    """

    state: str
    trainings: int
    finished: int
    failed: int
    running: tuple[RunningTrial, ...]
    sentence: str | None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**vars(self), "running": [vars(trial) for trial in self.running]}


@dataclass(frozen=True)
class Status:
    """The current status of a search; `search` says which one of its experiment it is.

    `planned` counts trials without baselines and duplicates. `start_s` is in seconds since 1970,
    `wall_s` in seconds up to the end of the search. `confirmation` is the last that began.
    `best_accuracy` is of the best graph's one training; `level` says how good it is by the metric
    of the search, and `note` what is wrong with it. `collapsed` counts trainings of networks that
    say the same of all images.
    """

    name: str
    state: str
    planned: int
    counts: Mapping[str, int]
    best: str | None
    best_accuracy: float | None
    level: Level | None
    note: str
    collapsed: int
    running: tuple[RunningTrial, ...]
    start_s: float
    wall_s: float
    confirmation: ConfirmationStatus | None
    search: Mapping[str, Any]

    @property
    def going_on(self) -> bool:
        """Whether the search or its confirmation is running."""
        return "running" in (self.state, self.confirmation and self.confirmation.state)

    def to_json(self) -> dict[str, Any]:
        """Return the status as plain data."""
        running = [vars(trial) for trial in self.running]
        confirmation = self.confirmation and self.confirmation.to_json()
        changed = {"counts": dict(self.counts), "running": running, "confirmation": confirmation}
        return vars(self) | changed | {"level": self.level and self.level.to_json()}


def read_statuses(experiments: Iterable[Experiment]) -> list[Status]:
    """Return the status of each experiment's newest search, the latest to begin first.

    Experiments without a search are left out.
    """
    found = [_status(searches[0]) for one in experiments if (searches := find_searches(one))]
    return sorted(found, key=lambda status: -status.start_s)


def read_status(experiment: Experiment) -> Status:
    """Return the status of an experiment's newest search. Raises UserError if there is none."""
    return _status(read_newest_search(experiment))


def _status(search: StoredSearch) -> Status:
    experiment, ranked = search.experiment, search.ranked
    counts = Counter(find_state(run, search.run) for run in search.children)
    going_on = [trial.run for trial in search.trials if trial.state == "running"]
    return Status(
        name=experiment.name,
        state=search.state,
        planned=_count_planned(search),
        counts={state: counts[state] for state in STATES},
        best=ranked[0].run.name if ranked else None,
        best_accuracy=ranked[0].accuracy if ranked else None,
        level=read_level(search, ranked[0]) if ranked else None,
        note=ranked[0].fault if ranked else "",
        collapsed=sum(one.is_collapsed for one in (*search.trials, *search.repeats)),
        running=tuple(_read_running(experiment, run) for run in going_on),
        start_s=search.run.start_s,
        wall_s=search.wall_s,
        confirmation=_confirmation_status(search),
        search=search.to_json(),
    )


def _count_planned(search: StoredSearch) -> int:
    """Return how many trials a search is to have, 0 where only its budget says."""
    try:
        return search.space.search.most_trials or 0
    except KtgError:  # it has just begun, or another version has written it
        return int(search.run.params.get("search.trials", 0))


def _confirmation_status(search: StoredSearch) -> ConfirmationStatus | None:
    experiment = search.experiment
    found = next(iter(find_confirmations(experiment, search.run.id)), None)
    if found is None:
        return None
    runs = experiment.trials(found)
    states = [find_state(run, found) for run in runs]
    going_on = [run for run, state in zip(runs, states, strict=True) if state == "running"]
    return ConfirmationStatus(
        state=find_state(found),
        trainings=int(found.tags.get(TRAININGS_TAG, len(runs))),
        finished=states.count("finished"),
        failed=states.count("failed"),
        running=tuple(_read_running(experiment, run) for run in going_on),
        sentence=read_result(experiment, found).get("sentence"),
    )


def _read_running(experiment: Experiment, run: RunRecord) -> RunningTrial:
    """Return a running trial, or training of a confirmation, as far as it has come."""
    history = experiment.history(run, "val_accuracy")
    if history:
        return RunningTrial(run.name, *history[-1])
    # A confirmation trains on the validation images too: it has no accuracy, only epochs.
    epochs = (epoch for epoch, _ in experiment.history(run, "epoch_s"))
    return RunningTrial(run.name, max(epochs, default=0), None)
