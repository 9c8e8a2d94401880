"""Says when a search and its race end, and what still fits into the time that is left.

Nothing here reads a clock: the queue is told how many seconds have passed.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ktg.graph import Graph
from ktg.graph.canonical import live_nodes
from ktg.searching.baselines import MOST_OF_BUDGET, MUTUAL_LEARNING
from ktg.searching.trial import Trial, count_copies, list_teacher_keys
from ktg.searching.trials import TrialQueue

MAY_WIN = 4  # graphs that a race is likely to choose among
MOST_OF_RACE = 0.4  # of the search, for a race in which new teachers are made


@dataclass(frozen=True)
class Reserve:
    """What a budget is spent on besides the search.

    trainings: of the best graph afterwards, in multiples of the time that its training takes, that
    of making its teachers included; teachers_s: how long the latter is, where that is known
    beforehand; seconds: more. spent_s: the seconds that were spent before the search began.
    """

    trainings: float = 0.0
    seconds: float = 0.0
    teachers_s: float = 0.0
    spent_s: float = 0.0

    def needed_s(self, best_s: float) -> float:
        """Return the seconds that the search has not, if training the best graph takes `best_s`."""
        return self.trainings * best_s + self.seconds + self.spent_s


class Timetable:
    """When a search ends, when its race begins, and what fits before.

    queue: of the search, which knows what time it is. reserve: what the budget is spent on besides
    the search. at_once: how many trials run at the same time. gain_alone: how much
    faster the training is that comes after the search, when nothing runs beside it.
    """

    def __init__(self, queue: TrialQueue, budget_s: float | None, reserve: Reserve) -> None:
        self.queue, self.budget_s, self.reserve = queue, budget_s, reserve
        self.at_once, self.gain_alone = 1, 1.0

    @property
    def end_s(self) -> float | None:
        """When the search ends, in seconds of the budget; None without one."""
        if self.budget_s is None:
            return None
        return self.budget_s - self.reserve.needed_s(self._longest_repeat_s() / self.gain_alone)

    @property
    def race_s(self) -> float | None:
        """When the race begins, in seconds of the budget; None without one.

        It is long enough for a new seed of whoever may win, with new teachers.
        """
        end_s, share = self.end_s, self.queue.race_share
        if end_s is None or not share:
            return end_s
        once_s = min(self._longest_repeat_s(), MOST_OF_RACE * end_s)
        return end_s - max(share * end_s, once_s)

    @property
    def repeat_s(self) -> float:
        """The seconds that training the best graph after the search takes, on as many images.

        0 before there is one.
        """
        best = self.queue.best
        return self.measure_repeat(best) / self.gain_alone if best else 0.0

    @property
    def copy_s(self) -> float:
        """The seconds that making the teachers of a graph takes, each copy of them."""
        return measure_making(self.queue.trials, self.reserve.teachers_s)

    @property
    def dear_s(self) -> float:
        """The device seconds above which a baseline takes too much; infinite without a budget."""
        end_s = self.end_s
        return math.inf if end_s is None else MOST_OF_BUDGET * end_s * self.at_once

    def fits(self, graph: Graph, end_s: float | None) -> bool:
        """Return whether a graph can be trained before a time, as far as that is known.

        Teachers that no trial has had yet are made first.
        """
        if end_s is None:
            return True
        trials = self.queue.trials
        seconds = estimate_seconds(graph, trials)
        if seconds is not None and needs_new_teachers(graph, trials):
            seconds += count_copies(graph) * self.copy_s
        return self.queue.now_s + (seconds or 0.0) <= end_s

    def is_out_of_time(self, trial: Trial, last_s: float = 0.0) -> bool:
        """Return whether another epoch of a trial would end after the budget, or it is too dear.

        last_s: the seconds of its last epoch, for a trial of which none is recorded yet.
        """
        end_s, epoch_s = self.end_s, trial.epoch_s or last_s
        late = end_s is not None and self.queue.now_s + epoch_s > end_s
        return late or self.is_too_dear(trial, last_s)

    def is_too_dear(self, trial: Trial, last_s: float = 0.0) -> bool:
        """Return whether mutual learning takes a part of the budget that is missed elsewhere.

        Its helpers, which only taught in other graphs, may be large, and see larger images.
        last_s: see `is_out_of_time`.
        """
        if trial.baseline != MUTUAL_LEARNING or trial.state == "finished":
            return False
        return (trial.epoch_s or last_s) * trial.graph.train.epochs > self.dear_s

    def measure_repeat(self, one: Trial) -> float:
        """Return how long a graph takes to be trained on other images, its teachers made anew."""
        return measure_repeat(one, self.queue.trials, self.reserve.teachers_s)

    def race_allowance_s(self) -> float:
        """Return the device seconds of the whole race: its share of all there are.

        Where the trials are counted, these are what they took and the race itself, else the budget.
        """
        share, end_s = self.queue.race_share, self.end_s
        if end_s is not None and self.queue.planned is None:
            return share * end_s * self.at_once
        spent_s = sum(trial.train_s for trial in self.queue.trials if trial.race_of is None)
        return share / (1 - share) * spent_s

    def can_race(self, original: Trial, again: Graph, races: Sequence[Trial]) -> bool:
        """Return whether there is time for another training of the race.

        again: the graph of `original` with a new seed. races: those that have begun.
        """
        cost_s, end_s, queue = self._race_cost_s(original, again), self.end_s, self.queue
        if end_s is not None and (queue.now_s + cost_s > end_s or queue.planned is None):
            return queue.now_s + cost_s <= end_s
        costs = {trial.number: trial.train_s for trial in queue.trials}
        known = sum(
            costs[one.race_of or 0] if one.state == "running" else one.train_s for one in races
        )
        return 0 < known + cost_s <= self.race_allowance_s()

    def _race_cost_s(self, original: Trial, again: Graph) -> float:
        """Return how long a graph takes with a new seed: its teachers are made for it, too.

        Unless another graph has begun to make them.
        """
        if needs_new_teachers(again, self.queue.trials):
            return self.measure_repeat(original)
        return original.repeat_s

    def _longest_repeat_s(self) -> float:
        """Return the most that training one of the first few graphs on other images takes.

        The race may let any of them win, when it is too late to leave more time for the last
        training.
        """
        first = sorted(self.queue.ranked[:MAY_WIN], key=lambda one: one.repeat_s)
        # Making teachers takes as long for all with as many copies, so that the longest will do.
        longest = {one.copies: one for one in first}
        return max(map(self.measure_repeat, longest.values()), default=0.0)


def measure_repeat(best: Trial, trials: Iterable[Trial], teachers_s: float = 0.0) -> float:
    """Return how long a graph takes to be trained on other images, its teachers made anew.

    teachers_s: see `measure_making`.
    """
    if not best.copies:
        return best.repeat_s
    return best.repeat_s + best.copies * measure_making(trials, teachers_s)


def measure_making(trials: Iterable[Trial], teachers_s: float = 0.0) -> float:
    """Return the seconds that making the teachers of a graph takes, or each copy of them.

    It is what the first training that waited for them took more than its epochs.
    teachers_s: at least so long, for they may have been kept from an earlier search.
    """
    return max([teachers_s, *(one.making_s / one.copies for one in trials if one.copies)])


def needs_new_teachers(graph: Graph, trials: Iterable[Trial]) -> bool:
    """Return whether a graph has a teacher that no trial has made, or begun to make.

    Each seed, rate or length has teachers of its own.
    """
    keys = list_teacher_keys(graph)
    if not keys:
        return False
    begun = (one for one in trials if one.epoch or one.state == "running")
    return not keys.issubset(key for one in begun for key in one.teacher_keys)


def estimate_seconds(graph: Graph, trials: Iterable[Trial]) -> float | None:
    """Return how long a graph is likely to train, None before anything is measured.

    It is the graph's number of epochs times the median over trials of their seconds per epoch: of
    those with the same networks and images of the same size, or else of the same networks, in
    proportion to the area of what they see, or else of as many networks, or of all. Where lengths
    are in steps, an epoch is as long as its share of them.
    """
    measured = [
        (trial.graph, trial.epoch_s * _compare_epochs(graph, trial.graph))
        for trial in trials
        if trial.epoch_s is not None
    ]
    if not measured:
        return None
    for kind in (_describe_work, _list_models, _count_networks):
        alike = [
            seconds * (_compare_areas(graph, other) if kind is _list_models else 1.0)
            for other, seconds in measured
            if kind(other) == kind(graph)
        ]
        if alike:
            break
    return graph.train.epochs * statistics.median(alike or [each for _, each in measured])


def _compare_epochs(graph: Graph, other: Graph) -> float:
    """Return how many times the steps of another graph's epoch one of this graph has."""
    if graph.train.steps is None or other.train.steps is None:
        return 1.0
    own = graph.train.steps / max(1, graph.train.epochs)
    return own / (other.train.steps / max(1, other.train.epochs))


def _compare_areas(graph: Graph, other: Graph) -> float:
    """Return how many times as many pixels the networks of a graph see; 1 where that is unknown."""
    own, others = (
        [one.nodes[name].input_size or one.data.size or 0 for name in live_nodes(one)]
        for one in (graph, other)
    )
    if not (all(own) and all(others)):
        return 1.0
    return sum(side**2 for side in own) / sum(side**2 for side in others)


def _list_models(graph: Graph) -> list[str]:
    return sorted(graph.nodes[name].model for name in live_nodes(graph))


def _count_networks(graph: Graph) -> int:
    return len(live_nodes(graph))


def _describe_work(graph: Graph) -> list[tuple[str, int]]:
    """Return the models in training with the sizes at which they see the images."""
    return sorted(
        (graph.nodes[name].model, graph.nodes[name].input_size or 0) for name in live_nodes(graph)
    )
