"""Connects a queue of trials to Ray Tune: proposals, results, early stops and deaths of workers.

Ray asks `QueueSearcher` for trials and gives it their results, asks `EarlyStopper` whether to stop
one, calls `FailureCallback` when a worker died, and lets `WaitForOwnWorker` say who gets a free
worker. All of them run in the driver and decide nothing themselves: they ask the queue and
`ktg.searching.asha`.
"""

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from ktg.errors import TrainingError
from ktg.graph import dump
from ktg.searching.asha import Brackets, choose_bracket, should_stop
from ktg.searching.callback import TrialCallback
from ktg.searching.score import VAL_ACCURACY, read_score
from ktg.searching.slots import Slots
from ktg.searching.trial import EPOCH_S, Trial
from ktg.searching.trials import TrialQueue

CHECKPOINT_EVERY_S = 30.0
RAISED = f"{TrainingError.__module__}.{TrainingError.__name__}: "
KILLED = "it was killed, or crashed"
DEATHS = {
    "low on memory": "its machine was out of memory; try fewer trials at once (search.concurrent)",
    "node has died": "its machine was lost",
}


class Observer(Protocol):
    """Sees in the driver what happens to trials; must return at once, for the driver waits."""

    def on_start(self, trial: Trial) -> None:
        """See a trial that was proposed and waits for a worker."""

    def on_epoch(self, trial: Trial) -> None:
        """See a trial that has finished an epoch."""

    def on_end(self, trial: Trial) -> None:
        """See a trial that has ended; its state says how."""


class QueueSearcher(Searcher):  # type: ignore[misc]
    """Gives Ray the trials of a queue, and the queue and the observers what Ray learns of them.

    brackets: when trials are stopped early; None: never.
    checkpoints: the folder in which workers save the states of unfinished trials.
    clock: returns the seconds since the search began, of which the queue is told.
    """

    def __init__(
        self,
        queue: TrialQueue,
        observers: Sequence[Observer],
        slots: Slots,
        checkpoints: Path,
        brackets: Brackets | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(metric=VAL_ACCURACY, mode="max")
        self.queue, self.observers, self.slots = queue, observers, slots
        self.checkpoints, self.brackets, self.clock = checkpoints, brackets, clock
        self.trials: dict[str, Trial] = {}
        queue.is_open = queue.open_ended

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """Return the configuration of the next trial; None says to ask again later."""
        self.queue.advance(self.clock())
        trial = self.queue.propose()
        if trial is None and self.queue.expects_more:
            return None
        if trial is None:
            self.queue.is_open = False
            return str(Searcher.FINISHED)
        if self.brackets is not None:
            trial.bracket = choose_bracket(self.brackets, self.queue.trials)
        self.trials[trial_id] = trial
        for observer in self.observers:
            observer.on_start(trial)
        return {
            "graph": json.dumps(dump(trial.trained)),
            "final": self.queue.final,
            "metric": self.queue.metric,
            "checkpoint": str(self._checkpoint(trial)),
            "checkpoint_every_s": CHECKPOINT_EVERY_S,
            "cpus": self.slots.cpus,
            "gpus": self.slots.gpus,
        }

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Record an epoch."""
        if "failed" in result:
            return
        trial = self.trials[trial_id]
        metrics = json.loads(result["metrics"])  # text: Ray would flatten it into its own result
        if self.queue.record_epoch(trial, result["epoch"], metrics, result["time_this_iter_s"]):
            for observer in self.observers:
                observer.on_epoch(trial)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Record the last epoch and the end."""
        if error:
            return  # `FailureCallback` closes the trial: it knows why
        last = result or {}
        if "epoch" in last:  # Ray gives the result of the last epoch here only
            self.on_trial_result(trial_id, last)
        self.close(trial_id, last.get("failed"))

    def close(self, trial_id: str, reason: str | None) -> None:
        """End a trial, which needs its checkpoint no more."""
        trial = self.trials[trial_id]
        self._checkpoint(trial).unlink(missing_ok=True)
        self.queue.close(trial, reason)
        for observer in self.observers:
            observer.on_end(trial)

    def _checkpoint(self, trial: Trial) -> Path:
        return self.checkpoints / f"{trial.key}.pt"

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the search's record is the tracking store, not Ray's snapshot."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: see `save`."""


class EarlyStopper(tune.Stopper):  # type: ignore[misc]
    """Answers Ray whether a trial ends early; it asks before it hands a result to the searcher.

    on_trial: all ends when it has an error.
    """

    def __init__(self, searcher: QueueSearcher, on_trial: TrialCallback | None = None) -> None:
        self.searcher, self.on_trial = searcher, on_trial

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Return whether the trial with this result ends here."""
        brackets, queue = self.searcher.brackets, self.searcher.queue
        if "failed" in result:
            return False
        trial = self.searcher.trials[trial_id]
        metrics, epoch = json.loads(result["metrics"]), result["epoch"]
        queue.advance(self.searcher.clock())
        late = queue.is_out_of_time(trial, metrics.get(EPOCH_S, 0.0))
        if brackets is None or late:
            return late
        score, effects = read_score(queue.metric, metrics), queue.fold_effects
        stop = should_stop(brackets, queue.trials, trial, epoch, score, effects)
        trial.rung = epoch if stop else None
        return stop

    def stop_all(self) -> bool:
        """Return whether all ends at once: when a function of the user's has failed."""
        return self.on_trial is not None and self.on_trial.error is not None

    def __reduce__(self) -> tuple[Any, ...]:
        # Ray's snapshots, which nobody reads, would hold all trials and the tracker.
        return type(self), (None,)


class FailureCallback(tune.Callback):  # type: ignore[misc]
    """Closes trials whose workers died too often, for the reason that Ray has on record.

    warn: called with a sentence when a worker died and another one continues its trial.
    """

    def __init__(self, searcher: QueueSearcher, warn: Callable[[str], None]) -> None:
        self.searcher, self.warn = searcher, warn

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Warn of a death that a trial survives."""
        name = self.searcher.trials[trial.trial_id].name
        self.warn(f"{name}: {describe_death(trial)}; it goes on in another worker")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Close a trial that does not survive a death."""
        self.searcher.close(trial.trial_id, describe_death(trial))


def describe_death(trial: Any) -> str:
    """Return in a few words what Ray has on record of the last death of a trial's worker."""
    try:
        record = Path(trial.error_file).read_text(encoding="utf-8")
    except (OSError, TypeError):  # a full disk took no file
        record = ""
    last = record.rpartition("Failure # ")[2].strip()
    if RAISED in last:
        return last.rpartition(RAISED)[2]
    error = re.search(r"^(\w+\.)*(\w+(Error|Exception): .*)\Z", last, re.MULTILINE)
    known = next((words for sign, words in DEATHS.items() if sign in last), KILLED)
    return f"the worker died: {error[2] if error else known}"


class WaitForOwnWorker(FIFOScheduler):  # type: ignore[misc]
    """Lets each trial wait for the worker started for it, and gives free workers to new trials.

    Ray's own schedulers give a free worker to any trial that waits, and end the worker that is
    being started for it. Where trials are shorter than the start of a worker, most slots would
    never come to life.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Prefer no trial: Ray gives a free worker to the newest, to others if none is newer."""
