"""Keeps the queue of trials: which graph is trained next, what became of each one, which is best.

One queue serves every command that trains many graphs. What is proposed is said by who inherits:
`search_queue.SearchQueue` proposes the points of a space (`ktg search`), `seed_queue.SeedQueue`
given graphs with several seeds (`ktg confirm`, `ktg train --seeds`).
"""

from typing import Any

from ktg.graph.space import MetricName
from ktg.searching.contestants import Contestant, find_fold_effects, gather, rank
from ktg.searching.folds import NO_EFFECTS, FoldEffects
from ktg.searching.trial import Duplicate, State, Trial


class TrialQueue:
    """The trials that were proposed, in order.

    planned: how many are proposed, as far as that is known; None: as many as the time allows.
    metric: what they are compared by.
    final: whether graphs train on all data but the test split, and are then tested.
    open_ended: whether only `propose` knows when it ends.
    is_open: of one that is open-ended: whether it is driven, and its driver did not yet hear that
    there is no more to propose.
    """

    final = False
    open_ended = False
    is_open = False
    metric: MetricName = "accuracy"
    race_share = 0.0
    images: float | None = None  # that judge one training: see `ktg.searching.expectation`
    now_s = 0.0  # of the budget

    def __init__(self, planned: int | None) -> None:
        self.planned = planned
        self.trials: list[Trial] = []
        self.duplicates: list[Duplicate] = []
        self._gathered: tuple[int, list[Contestant]] = (0, [])  # and of how many that had ended

    def propose(self) -> Trial | None:
        """Return the next trial to train, None when there is none (yet: see `expects_more`)."""
        raise NotImplementedError

    @property
    def expects_more(self) -> bool:
        """Whether there may be a trial to propose once one of those that run has ended."""
        return False

    def advance(self, seconds: float) -> None:
        """Learn how many seconds of the budget have passed."""
        self.now_s = seconds

    @property
    def end_s(self) -> float | None:
        """When all of it ends, in seconds of the budget; None without a budget."""
        return None

    def is_out_of_time(self, trial: Trial, last_s: float = 0.0) -> bool:
        """Return whether another epoch of a trial would end after the budget.

        last_s: the seconds of an epoch that is over and not recorded yet.
        """
        return False

    def record_epoch(
        self, trial: Trial, epoch: int, metrics: dict[str, Any], seconds: float
    ) -> bool:
        """Record one epoch; return whether it is new, and not one trained again after a death."""
        return trial.record(epoch, metrics, seconds)

    def close(self, trial: Trial, reason: str | None = None) -> None:
        """End a trial: finished at its last epoch, stopped before it, or failed for a reason."""
        complete = bool(trial.metrics) and trial.epoch >= trial.graph.train.epochs
        trial.state = "failed" if reason else "finished" if complete else "stopped"
        trial.reason = reason

    def in_state(self, state: State) -> list[Trial]:
        """Return the trials in one state."""
        return [trial for trial in self.trials if trial.state == state]

    @property
    def closed(self) -> list[Trial]:
        """The trials that have ended, in whatever way."""
        return [trial for trial in self.trials if trial.state != "running"]

    @property
    def is_interrupted(self) -> bool:
        """Whether some trials have not been brought to an end, or there may have been more."""
        return self.is_open or bool(self.in_state("running"))

    @property
    def best(self) -> Trial | None:
        """The best of the finished trials, as a race has found it, or by one training of each."""
        ranked = self.ranked
        return ranked[0] if ranked else None

    @property
    def ranked(self) -> list[Trial]:
        """The finished trials without those of the race, which rank what they trained again."""
        trials = {trial.number: trial for trial in self.in_state("finished")}
        return [trials[one.number] for one in rank(self.contestants)]

    @property
    def contestants(self) -> list[Contestant]:
        """The finished trials, each with the scores of its graph in the race.

        Asked for at every report of every trial, and gathered when another one has ended.
        """
        finished, failed = self.in_state("finished"), self.in_state("failed")
        ended = len(finished) + len(failed)
        if self._gathered[0] != ended:
            numbers = {trial.race_of for trial in failed}
            self._gathered = ended, gather(finished, self.images, numbers)
        return self._gathered[1]

    @property
    def fold_effects(self) -> FoldEffects:
        """How much higher scores are by fold than on the mean one, as far as that is known.

        Asked for at every report of every trial: without folds it costs nothing.
        """
        if not self.trials or self.trials[0].fold is None:  # all have folds, or none
            return NO_EFFECTS
        return find_fold_effects(self.in_state("finished"))
