"""Gathers what a search knows of each graph: its score, those of new seeds, and what to expect.

New seeds are judged by the images that have judged all others. Where these are few, the best mean
is luck again; so where it is known what each kind of graph is worth elsewhere, graphs are ranked by
what is expected of them by both (`ktg.searching.expectation`). With hundreds of images that is the
mean. `race.py` says who gets new seeds.
"""

import math
import statistics
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ktg.graph.space import MetricName
from ktg.intervals import Interval, paired_mean_interval
from ktg.proposing.kinds import Kind, describe_lead
from ktg.searching.expectation import Seen, expect_scores
from ktg.searching.folds import FoldEffects, estimate_fold_effects, to_mean_fold
from ktg.searching.score import cut_difference, cut_score, format_score
from ktg.searching.trial import TUNED_ALONE, FinishedTrial, name_trial
from ktg.wording import count

FEWEST_GRAPHS = 3  # of which a variance is worth a number


@dataclass(frozen=True)
class Contestant:
    """A graph in the race. Of scores higher is better.

    number: of its trial in the search; score, loss: of that one training.
    scores: by new seed.
    is_exact: whether another seed would change nothing, so that it is not trained again.
    is_rival: whether it is there to be compared with: a baseline or the control.
    failed: whether a training of it in the race failed: those that are left are the lucky ones.
    cost_s: the seconds of its training. teachers, making_s: which networks are made for each new
    seed of it, unless another graph has them, too, and how long that takes; known to a race alone.
    kind, images: what arrangement it is, and how many different images judged its trainings; None
    where its kind's worth is not known, or says nothing of such scores.
    promise, expected: the score to expect of it by what its kind is worth and that one training, or
    all there are; None without images.
    """

    number: int
    score: float
    loss: float = math.inf
    scores: Mapping[int, float] = field(default_factory=dict)
    is_exact: bool = False
    is_rival: bool = False
    failed: bool = False
    cost_s: float = 0.0
    teachers: frozenset[str] = frozenset()
    making_s: float = 0.0
    kind: Kind | None = None
    images: float | None = None
    promise: float | None = None
    expected: float | None = None

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

    @property
    def worth(self) -> float:
        """What it is ranked by."""
        return self.mean if self.expected is None else self.expected


def gather(
    runs: Iterable[FinishedTrial],
    images: float | None = None,
    failed: Collection[int | None] = (),
) -> list[Contestant]:
    """Return a contestant for each finished trial but those of the race, whose scores they get.

    images: how many judge one training; None where not known, and for a score that is no share of
    images, such as a loss. failed: the numbers of graphs of which a training in the race failed.

    Rivals are the baselines and the best of the arm `tuned alone`. Where trials have folds, their
    effects are taken out of all scores, and a new seed counts once two graphs have it: the first
    baseline has them all from the beginning.
    """
    finished = list(runs)
    by_fold = any(run.fold is not None for run in finished)
    effects = find_fold_effects(finished)
    scores: dict[int, dict[int, float]] = {}
    fold_of: dict[int, int | None] = {}
    for run in finished:
        if run.race_of is not None:
            level = to_mean_fold(run.score, run.fold, effects)
            scores.setdefault(run.race_of, {})[run.seed] = level
            fold_of[run.seed] = run.fold
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
            to_mean_fold(run.score, run.fold, effects),
            run.loss,
            scores.get(run.number, {}),
            is_exact=run.is_exact and not by_fold,
            is_rival=run.baseline is not None,
            failed=run.number in failed,
            cost_s=run.repeat_s,
            kind=run.kind,
        )
        for run in originals
    ]
    if images is not None and any(one.kind is not None for one in found):
        folds = [{fold_of[seed] for seed in one.scores} for one in found]
        found = [
            replace(one, kind=one.kind or "other", images=images * max(1, len(own)))
            for one, own in zip(found, folds, strict=True)
        ]
        found = _expect_by_kind(found, images)
    tuned = [one for one, run in zip(found, originals, strict=True) if run.arm == TUNED_ALONE]
    control = next((one for one in rank(found) if any(one is other for other in tuned)), None)
    return [replace(one, is_rival=True) if one is control else one for one in found]


def _expect_by_kind(contestants: Sequence[Contestant], images: float) -> list[Contestant]:
    """Return the contestants with the scores to expect of them; images: of one training."""
    spread, freedom = measure_spread(contestants), sum(max(0, one.runs - 1) for one in contestants)
    first, all_known = [], []
    for one in contestants:
        kind = one.kind or "other"
        once = math.inf if one.is_exact else 1
        first.append(Seen(kind, one.score, once, images))
        all_known.append(Seen(kind, one.mean, one.runs or once, one.images or images))
    promised, expected = expect_scores(first), expect_scores(all_known, spread, freedom)
    return [
        replace(one, promise=early, expected=late)
        for one, early, late in zip(contestants, promised, expected, strict=True)
    ]


def find_fold_effects(runs: Iterable[FinishedTrial]) -> FoldEffects:
    """Return by fold how much higher scores are there than on the mean fold."""
    return estimate_fold_effects(
        (run.number if run.race_of is None else run.race_of, run.fold, run.score) for run in runs
    )


def rank(contestants: Collection[Contestant]) -> list[Contestant]:
    """Return all graphs, the best first.

    Those with as many new seeds as any, or one less, come first, by their mean score, or what is
    expected by that and their kind; a graph that is exact is one of them. Then come all others,
    those too of which a training failed, likewise. Of equals the lower loss wins, then the lower
    number.
    """
    most = max((one.runs for one in contestants), default=0)

    def place(one: Contestant) -> tuple[bool, float, float, int]:
        proven = most == 0 or one.is_exact or one.runs >= max(1, most - 1)
        return (one.failed or not proven, -one.worth, one.loss, one.number)

    return sorted(contestants, key=place)


def explain_choice(contestants: Sequence[Contestant], metric: MetricName) -> str | None:
    """Return in one sentence why the winner is not the best mean, None where it is."""
    if not contestants or contestants[0].images is None:
        return None
    winner = rank(contestants)[0]
    plain = rank([replace(one, expected=None) for one in contestants])[0]
    if plain.number == winner.number or winner.kind is None or winner.expected is None:
        return None
    luckiest = next(one for one in contestants if one.number == plain.number)
    scores = (plain.mean, luckiest.expected or 0.0, winner.expected)
    seen, other, own = (format_score(metric, score) for score in scores)
    first, second = (name_trial(one.number) for one in (plain, winner))
    return (
        f"{count(round(winner.images or 0), 'validation image')} say little: {first} has the best "
        f"score, {seen}, but {other} is expected of it and {own} of {second}, which wins: "
        f"{describe_lead(winner.kind)}."
    )


def compare(a: Contestant, b: Contestant, comparisons: int = 1) -> Interval | None:
    """Return the interval of a's mean score minus b's, over the new seeds that both have.

    An exact graph has the same score with each seed. None for fewer than two seeds, and where a
    training of either failed, which proves nothing.
    """
    differences = pair(a, b)
    if len(differences) < 2 or a.failed or b.failed:
        return None
    return paired_mean_interval(differences, comparisons)


def pair(a: Contestant, b: Contestant) -> list[float]:
    """Return a's score minus b's for each new seed that both have."""
    known = (b if a.is_exact else a).scores
    seeds = [seed for seed in known if b.is_exact or seed in b.scores]
    return [_score(a, seed) - _score(b, seed) for seed in seeds]


def _score(one: Contestant, seed: int) -> float:
    return one.score if one.is_exact else one.scores[seed]


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
    """Return the score to expect of a graph, drawn towards its kind's or those that were tried.

    See `gather` and `shrink`; None where too little is known, and, where kinds are not, for a graph
    whose score nothing can change.
    """
    if one.expected is not None:
        return one.expected
    tried = [other.score for other in contestants if not other.is_rival]
    return None if one.is_exact else shrink(one, tried, measure_spread(contestants))


@dataclass(frozen=True)
class Standing:
    """How a graph stands in a search, as people read it.

    score, expected: within what a score can be, which one on the mean fold may leave. ahead: how
    far the best is before it, with the interval of 95 % over the seeds of both; None where they
    have none, and for the best itself.
    """

    score: float
    expected: float | None
    ahead: float | None
    interval: Interval | None


def measure_standing(
    one: Contestant,
    best: Contestant,
    contestants: Collection[Contestant],
    metric: MetricName,
) -> Standing:
    """Return how one of the contestants stands beside the best of them."""
    expected = expect(one, contestants)
    differences = [] if one is best else pair(best, one)
    return Standing(
        cut_score(metric, one.mean),
        None if expected is None else cut_score(metric, expected),
        statistics.fmean(differences) if differences else None,
        None if one is best else cut_difference(metric, compare(best, one)),
    )


def measure_spread(contestants: Collection[Contestant]) -> float | None:
    """Return the standard deviation between trainings of one graph, None before it is known."""
    several = [one for one in contestants if one.runs > 1]
    freedom = sum(one.runs - 1 for one in several)
    if not freedom:
        return None
    squares = sum(statistics.variance(one.scores.values()) * (one.runs - 1) for one in several)
    return math.sqrt(squares / freedom)
