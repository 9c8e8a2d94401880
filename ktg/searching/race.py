"""Runs the race at the end of a search: new seeds of the best graphs, and the best mean wins.

The best of many single trainings is the luckiest: its score says more than another training would
find. So the last part of a search trains its best graphs, the tuned control and the baselines again
with new seeds, the same seeds for all, round by round. A graph is out once the leader is proven
better on the seeds of both. The scores of the new seeds alone say who wins, since those of the
search chose who takes part. All is a pure function of what has been trained, so that a search that
was interrupted goes on, and a report finds the same winner.

Where each trial has a fold of its own (`search.folds`), so has each new seed: the race is paired by
both, and its intervals cover images and seeds, but for what the trainings have in common.
"""

import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ktg.intervals import Interval, paired_mean_interval
from ktg.searching.folds import FoldEffects, estimate_fold_effects
from ktg.searching.trial import TUNED_ALONE

FIRST_SEED = 101  # of the race, above the seed of the search; a confirmation begins at 1,000
MOST_CANDIDATES = 4  # beside the control and the baselines
FEWEST_ROUNDS = 3  # that the time should suffice for; else fewer graphs take part
FEWEST_STARTERS = 2
FEWEST_GRAPHS = 3  # of which a variance is worth a number


@dataclass(frozen=True)
class Contestant:
    """A graph in the race. Of scores higher is better.

    number: of its trial in the search; score, loss: of that one training.
    scores: by new seed.
    is_exact: whether another seed would change nothing, so that it is not trained again.
    is_rival: whether it is there to be compared with: a baseline or the control.
    cost_s: the seconds of its training.
    """

    number: int
    score: float
    loss: float = math.inf
    scores: Mapping[int, float] = field(default_factory=dict)
    is_exact: bool = False
    is_rival: bool = False
    cost_s: float = 0.0

    @property
    def runs(self) -> int:
        """How many new seeds are known."""
        return len(self.scores)

    @property
    def mean(self) -> float:
        """The mean score of new seeds; that of its one training where there is none."""
        return statistics.fmean(self.scores.values()) if self.scores else self.score

    @property
    def std(self) -> float | None:
        """The standard deviation over new seeds, None for fewer than two."""
        return statistics.stdev(self.scores.values()) if self.runs > 1 else None


class Run(Protocol):
    """What the race asks of a finished trial, of a queue or of a store: see `Trial`."""

    @property
    def number(self) -> int:
        """Its number in the search."""
        ...

    @property
    def score(self) -> float:
        """How good it ended; higher is better."""
        ...

    @property
    def loss(self) -> float:
        """Its last validation loss."""
        ...

    @property
    def race_of(self) -> int | None:
        """Whose graph it trains again, of the race."""
        ...

    @property
    def seed(self) -> int:
        """The seed of its training."""
        ...

    @property
    def fold(self) -> int | None:
        """What it was validated on."""
        ...

    @property
    def is_exact(self) -> bool:
        """Whether nothing is trained."""
        ...

    @property
    def baseline(self) -> str | None:
        """Which baseline it is."""
        ...

    @property
    def arm(self) -> str | None:
        """Which arm chose it."""
        ...

    @property
    def repeat_s(self) -> float:
        """The seconds of another training of its graph."""
        ...


def gather(runs: Iterable[Run]) -> list[Contestant]:
    """Return a contestant for each finished trial but those of the race, whose scores they get.

    Rivals are the baselines and the best of the arm `tuned alone`. Where trials have folds, their
    effects are taken out of all scores, and a new seed counts once two graphs have it: the first
    baseline has them all from the beginning.
    """
    finished = list(runs)
    by_fold = any(run.fold is not None for run in finished)
    effects = find_fold_effects(finished)
    scores: dict[int, dict[int, float]] = {}
    for run in finished:
        if run.race_of is not None:
            scores.setdefault(run.race_of, {})[run.seed] = run.score - effects.get(run.fold, 0.0)
    if by_fold:
        often = Counter(seed for own in scores.values() for seed in own)
        scores = {
            number: {seed: score for seed, score in own.items() if often[seed] > 1}
            for number, own in scores.items()
        }
    originals = [run for run in finished if run.race_of is None]
    found = [
        Contestant(
            run.number,
            run.score - effects.get(run.fold, 0.0),
            run.loss,
            scores.get(run.number, {}),
            is_exact=run.is_exact and not by_fold,
            is_rival=run.baseline is not None,
            cost_s=run.repeat_s,
        )
        for run in originals
    ]
    tuned = [one for one, run in zip(found, originals, strict=True) if run.arm == TUNED_ALONE]
    control = next((one for one in rank(found) if any(one is other for other in tuned)), None)
    return [replace(one, is_rival=True) if one is control else one for one in found]


def find_fold_effects(runs: Iterable[Run]) -> FoldEffects:
    """Return by fold how much higher scores are there than on the mean fold."""
    return estimate_fold_effects(
        (run.number if run.race_of is None else run.race_of, run.fold, run.score) for run in runs
    )


def rank(contestants: Collection[Contestant]) -> list[Contestant]:
    """Return all graphs, the best first.

    Those with as many new seeds as any, or one less, come first, by their mean score; a graph that
    is exact is one of them. Then come all others, by their one score. Of equals the lower loss
    wins, then the lower number.
    """
    most = max((one.runs for one in contestants), default=0)

    def place(one: Contestant) -> tuple[bool, float, float, int]:
        proven = most == 0 or one.is_exact or one.runs >= max(1, most - 1)
        return (not proven, -one.mean, one.loss, one.number)

    return sorted(contestants, key=place)


def choose_starters(contestants: Sequence[Contestant], allowance_s: float) -> list[Contestant]:
    """Return who takes part in a race of `allowance_s` device seconds, the best first.

    These are the best few by their one score, and all rivals, as long as the time is likely to
    suffice for FEWEST_ROUNDS with each; but at least two, one of which is a rival if there is one.
    Whoever has run stays.
    """
    able = sorted((one for one in contestants if not one.is_exact), key=_by_one_score)
    candidates = [one for one in able if not one.is_rival][:MOST_CANDIDATES]
    rivals = [one for one in able if one.is_rival]
    entered = sorted((*candidates, *rivals), key=_by_one_score)
    chosen: list[Contestant] = []
    cost_s = 0.0
    for one in [*_first(entered), *entered]:
        fits = FEWEST_ROUNDS * (cost_s + one.cost_s) <= allowance_s
        if one not in chosen and (fits or len(chosen) < FEWEST_STARTERS):
            chosen.append(one)
            cost_s += one.cost_s
    chosen += [one for one in able if one.runs and one not in chosen]
    return sorted(chosen, key=_by_one_score)


def _first(entered: Sequence[Contestant]) -> list[Contestant]:
    """Return the best graph and the best rival, or the best two where one of them is no rival."""
    rival = next((one for one in entered if one.is_rival), None)
    return [*entered[:1], *([rival] if rival else [])]


def _by_one_score(one: Contestant) -> tuple[float, float, int]:
    return (-one.score, one.loss, one.number)


def find_dropped(contestants: Sequence[Contestant]) -> set[int]:
    """Return the numbers of those that the leader is proven to be better than.

    The leader has the best mean of those with the most new seeds. The intervals hold all at once
    with 95 %.
    """
    most = max((one.runs for one in contestants), default=0)
    if most < 2:
        return set()
    leader = rank([one for one in contestants if one.runs == most])[0]
    others = [one for one in contestants if one is not leader]
    dropped = set()
    for one in others:
        interval = compare(leader, one, len(others))
        if interval is not None and interval[0] > 0:
            dropped.add(one.number)
    return dropped


def compare(a: Contestant, b: Contestant, comparisons: int = 1) -> Interval | None:
    """Return the interval of a's mean score minus b's, over the new seeds that both have.

    An exact graph has the same score with each seed. None for fewer than two seeds.
    """
    differences = pair(a, b)
    return paired_mean_interval(differences, comparisons) if len(differences) > 1 else None


def pair(a: Contestant, b: Contestant) -> list[float]:
    """Return a's score minus b's for each new seed that both have."""
    known = (b if a.is_exact else a).scores
    seeds = [seed for seed in known if b.is_exact or seed in b.scores]
    return [_score(a, seed) - _score(b, seed) for seed in seeds]


def _score(one: Contestant, seed: int) -> float:
    return one.score if one.is_exact else one.scores[seed]


def choose_next(
    starters: Sequence[Contestant], begun: Mapping[int, Collection[int]], first_seed: int
) -> tuple[Contestant, int] | None:
    """Return who runs next, and with which seed: who has begun the fewest, of those not dropped.

    begun: by number the seeds of trainings that have begun, whatever became of them.
    Returns None where no two are left, for then the race is over.
    """
    dropped = find_dropped(starters)
    left = [one for one in starters if one.number not in dropped]
    if len(left) < 2:
        return None
    chosen = min(left, key=lambda one: (len(begun.get(one.number, ())), _by_one_score(one)))
    return chosen, first_seed + len(begun.get(chosen.number, ()))


def shrink(one: Contestant, all_scores: Sequence[float], spread: float | None) -> float | None:
    """Return the score to expect of a graph: the mean of its trainings, drawn towards all graphs'.

    all_scores: of single trainings of different graphs; spread: the standard deviation between
    trainings of one graph. The weights are those of the normal model (James and Stein, 1961; Efron
    and Morris, "Stein's estimation rule and its competitors", JASA, 1973): of variance `b` between
    graphs and `w` between n trainings of each, b / (b + w / n) is kept of a graph's distance from
    the mean. The one training of the search counts, too, as a choice by it is what the weights are
    for. None where nothing is known of the spread.
    """
    if spread is None or len(all_scores) < FEWEST_GRAPHS:
        return None
    mean, between = statistics.fmean(all_scores), statistics.variance(all_scores) - spread**2
    own = [one.score, *one.scores.values()]
    kept = max(0.0, between)
    weight = kept / (kept + spread**2 / len(own)) if kept else 0.0
    return mean + weight * (statistics.fmean(own) - mean)


def expect(one: Contestant, contestants: Collection[Contestant]) -> float | None:
    """Return the score to expect of a graph, drawn towards those that the search has tried.

    See `shrink`; None where too little is known, and for a graph whose score nothing can change.
    """
    tried = [other.score for other in contestants if not other.is_rival]
    return None if one.is_exact else shrink(one, tried, measure_spread(contestants))


def measure_spread(contestants: Collection[Contestant]) -> float | None:
    """Return the standard deviation between trainings of one graph, None before it is known."""
    several = [one for one in contestants if one.runs > 1]
    freedom = sum(one.runs - 1 for one in several)
    if not freedom:
        return None
    squares = sum(statistics.variance(one.scores.values()) * (one.runs - 1) for one in several)
    return math.sqrt(squares / freedom)
