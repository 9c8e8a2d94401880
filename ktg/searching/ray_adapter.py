"""Ray Tune's side of a search: adapters that pass everything on to the ledger and an observer."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from ktg.errors import SpecError, TrainingError
from ktg.graph import Search, dump
from ktg.searching.trials import Entry

METRIC = "val_accuracy"
CHECKPOINT_EVERY_S = 30.0
RAISED = f"{TrainingError.__module__}.{TrainingError.__name__}: "
KILLED = "it was killed, or crashed"
DEATHS = {
    "low on memory": "its machine was out of memory; try fewer trials at once (search.concurrent)",
    "node has died": "its machine was lost",
}


class Observer(Protocol):
    """Is told of everything that happens to trials, in the driver; must return at once."""

    def started(self, entry: Entry) -> None:
        """Hear of a trial that was proposed and waits for a worker."""

    def reported(self, entry: Entry) -> None:
        """Hear of a trial that finished an epoch."""

    def closed(self, entry: Entry) -> None:
        """Hear of a trial that ended; its state says how."""


class Book(Protocol):
    """Says what is trained next, at most `planned` graphs, and takes down what came of it: a `Ledger` for a search."""

    planned: int

    def propose(self) -> Entry | None:
        """Return the next graph to train, None when there is none."""

    def report(self, entry: Entry, epoch: int, metrics: dict[str, Any], seconds: float) -> bool:
        """Take down one epoch; return whether it is news."""

    def close(self, entry: Entry, reason: str | None = None) -> None:
        """Take down an end, with the reason of a failure."""


class Proposals(Searcher):  # type: ignore[misc]
    """Gives Ray the graphs that a book proposes."""

    def __init__(
        self, ledger: Book, observer: Observer, *, cpus: float, gpus: float, checkpoints: Path
    ) -> None:
        super().__init__(metric=METRIC, mode="max")
        self.ledger, self.observer, self.checkpoints = ledger, observer, checkpoints
        self.resources = {"cpus": cpus, "gpus": gpus}
        self.entries: dict[str, Entry] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        """Return the configuration of the next trial."""
        entry = self.ledger.propose()
        if entry is None:
            return str(Searcher.FINISHED)
        self.entries[trial_id] = entry
        self.observer.started(entry)
        return {
            "graph": json.dumps(dump(entry.graph)),
            "baseline": entry.baseline or "",
            "checkpoint": str(self.checkpoint(entry)),
            "checkpoint_every_s": CHECKPOINT_EVERY_S,
            **self.resources,
        }

    def checkpoint(self, entry: Entry) -> Path:
        """Return where the worker leaves the state of a trial now and then."""
        return self.checkpoints / f"{entry.key}.pt"

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Take down an epoch."""
        entry = self.entries[trial_id]
        if "failed" not in result:
            metrics = json.loads(
                result["metrics"]
            )  # text, or Ray would flatten it into its own result
            if self.ledger.report(entry, result["epoch"], metrics, result["time_this_iter_s"]):
                self.observer.reported(entry)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Take down the last epoch and the end."""
        if error:
            return  # `Deaths` closes the trial: it knows why
        entry, last = self.entries[trial_id], result or {}
        if last.get("epoch", 0) > entry.epoch:
            self.on_trial_result(trial_id, last)
        self.close(trial_id, last.get("failed"))

    def close(self, trial_id: str, reason: str | None) -> None:
        """Take down the end of a trial, which needs its state no more."""
        entry = self.entries[trial_id]
        self.checkpoint(entry).unlink(missing_ok=True)
        self.ledger.close(entry, reason)
        self.observer.closed(entry)

    def save(self, checkpoint_path: str) -> None:
        """Write nothing: the search's record is the tracking store, not Ray's snapshot."""

    def restore(self, checkpoint_path: str) -> None:
        """Read nothing: see `save`."""


class Deaths(tune.Callback):  # type: ignore[misc]
    """Closes trials whose workers died too often, with the reason that Ray has on record.

    tell: hears of a worker that died, and whose trial another one goes on with.
    """

    def __init__(self, proposals: Proposals, tell: Callable[[str], None]) -> None:
        self.proposals, self.tell = proposals, tell

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Tell of a death that a trial survives."""
        entry = self.proposals.entries[trial.trial_id]
        self.tell(f"{entry.name}: {death_of(trial)}; it goes on in another worker")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Take down a death that a trial does not survive."""
        self.proposals.close(trial.trial_id, death_of(trial))


def death_of(trial: Any) -> str:
    """Return in a few words what Ray has written down of the last death of a trial's worker."""
    try:
        last = (
            Path(trial.error_file).read_text(encoding="utf-8").rpartition("Failure # ")[2].strip()
        )
    except (OSError, TypeError):  # a full disk took no file
        last = ""
    if RAISED in last:
        return last.rpartition(RAISED)[2]
    error = re.search(r"^(\w+\.)*(\w+(Error|Exception): .*)\Z", last, re.MULTILINE)
    reason = (
        error[2] if error else next((told for sign, told in DEATHS.items() if sign in last), KILLED)
    )
    return f"the worker died: {reason}"


class Patient:
    """Lets every trial wait for the worker that was started for it; new trials take the workers that become free.

    Ray's own schedulers give a free worker to any trial that waits, and end the worker that is
    being started for it. Where trials are shorter than the start of a worker, most slots would
    never come to life.
    """

    def choose_trial_to_run(self, tune_controller: Any) -> None:
        """Prefer no trial: Ray then takes the newest for a free worker, and the others only when there is no newer."""


class Fifo(Patient, FIFOScheduler):  # type: ignore[misc]
    """Stops nothing early."""


class Asha(Patient, ASHAScheduler):  # type: ignore[misc]
    """ASHA (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020), sparing the baselines.

    Baselines run to the end, as what the winner is compared with, but count in every rung they
    pass.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._begun = [0] * len(self._brackets)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return whether a trial goes on after this epoch."""
        if "failed" in result:
            return str(TrialScheduler.STOP)
        if not result["done"] and not self._is_at_rung(trial, result):
            return str(TrialScheduler.CONTINUE)
        decision = super().on_trial_result(tune_controller, trial, result)
        spared = trial.config["baseline"] and not result["done"]
        return str(TrialScheduler.CONTINUE if spared else decision)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Count a last result in its rung, unless it is that of a failure."""
        if "failed" not in result and self._is_at_rung(trial, result):
            super().on_trial_complete(tune_controller, trial, result)

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Put the trial into the bracket that most lacks one; Ray would draw it from a generator nobody has seeded."""
        super().on_trial_add(tune_controller, trial)
        wanted, begun = shares(len(self._brackets), self._reduction_factor), self._begun
        lacking = max(
            range(len(begun)), key=lambda i: (wanted[i] * (sum(begun) + 1) - begun[i], -i)
        )
        begun[lacking] += 1
        self._trial_info[trial.trial_id] = self._brackets[lacking]

    def recall(self, entries: Sequence[Entry]) -> None:
        """Count in every rung what trials of an earlier process had reached there."""
        for milestone, recorded in (rung for bracket in self._brackets for rung in bracket._rungs):
            for entry in entries:
                if (
                    entry.state in ("finished", "stopped")
                    and math.ceil(milestone) in entry.accuracies
                ):
                    recorded[entry.name] = entry.accuracies[math.ceil(milestone)]

    def _is_at_rung(self, trial: Any, result: Mapping[str, Any]) -> bool:
        """Return whether this epoch is one that the trial is judged at, and has not been.

        Ray would enter the first result after a rung into it, and so hold epoch 6 of a trial that
        was resumed there against what others had at epoch 4, then its epoch 7 against their epoch
        2.
        """
        rungs = self._trial_info[trial.trial_id]._rungs
        return any(
            result["epoch"] == math.ceil(at) and trial.trial_id not in known for at, known in rungs
        )


def scheduler(search: Search, epochs: int, past: Sequence[Entry] = ()) -> TrialScheduler:
    """Return the scheduler a search asks for; a grace period as long as the training switches ASHA off.

    past: trials of an earlier process, by whose results in the rungs new ones are judged too.
    """
    if search.scheduler == "none" or search.grace_epochs >= epochs:
        return Fifo()
    rungs = math.floor(math.log(epochs / search.grace_epochs, search.reduction_factor) + 1e-9)
    asha = Asha(
        time_attr="epoch",
        metric=METRIC,
        mode="max",
        max_t=epochs,
        grace_period=search.grace_epochs,
        reduction_factor=search.reduction_factor,
        brackets=max(1, rungs) if search.scheduler == "hyperband" else 1,
    )
    asha.recall(past)
    return asha


def shares(brackets: int, factor: float) -> list[float]:
    """Return the share of trials in each bracket, so that all get about the same budget, as in Hyperband.

    Li et al., JMLR 2018: bracket s, whose first rung comes factor^s times later, has factor^-s as
    many trials at it, corrected for its having s rungs less.
    """
    sizes = [factor ** (brackets - s) / (brackets + 1 - s) for s in range(brackets)]
    return [size / sum(sizes) for size in sizes]


def check_resources(
    search: Search, *, cpus: float, gpus: float, total: Mapping[str, float]
) -> None:
    """Raise SpecError for a trial that would wait for ever: it asks for more than the `total` resources hold."""
    if gpus > 1 and not float(gpus).is_integer():
        raise SpecError(
            "search.gpus_per_trial", f"above 1 it must be a whole number of GPUs, got {gpus:g}"
        )
    for field, wanted, have in (
        ("cpus_per_trial", cpus, total.get("CPU", 0)),
        ("gpus_per_trial", gpus, total.get("GPU", 0)),
    ):
        if wanted > have:
            raise SpecError(
                f"search.{field}",
                f"{wanted:g} is more than there are here; allowed: at most {have:g}",
            )


def slots(search: Search, *, cpus: float, gpus: float, total: Mapping[str, float]) -> int:
    """Return how many trials of `cpus` and `gpus` each run at once on the `total` resources."""
    by_cpu = math.floor(total.get("CPU", 1) / cpus + 1e-9)
    by_gpu = gpu_slots(total.get("GPU", 0), gpus)
    return max(1, int(min(by_cpu, by_gpu, search.concurrent or math.inf)))


def gpu_slots(total: float, gpus: float) -> float:
    """Return how many trials of `gpus` each fit; a fraction never spans two GPUs."""
    if not gpus:
        return math.inf
    return math.floor(1 / gpus + 1e-9) * total if gpus <= 1 else math.floor(total / gpus)
