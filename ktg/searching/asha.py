"""Decides by pure functions of the trials so far which ones ASHA, Hyperband and auto stop early.

ASHA (Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020) compares
trials of one length at certain epochs, the rungs. A trial that reaches one goes on only if it is as
accurate there as the best one in `factor` of the trials that got there before it. Nobody waits for
others: what comes early is judged by little. Hyperband (Li et al., JMLR 2018) divides the trials
into brackets, whose first rungs come later and later.

Under a schedule that ends with small steps, who is ahead early says little, or the contrary, of who
is ahead at the end. So `auto` has the rungs of ASHA, but one stops trials only once the finished
trials prove that it may: the rank correlation between their scores at the rung and at the end must
be above one half with 95 %. One trial in five is spared, so that the proof does not rest on those
alone that were good at the rung.

With 8 epochs, a grace period of 1 and factor 2 the rungs are 1, 2 and 4, and Hyperband's brackets
(1, 2, 4), (2, 4) and (4,).
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ktg.graph import Search
from ktg.intervals import Interval
from ktg.searching.folds import NO_EFFECTS, FoldEffects, to_mean_fold
from ktg.searching.trial import Trial
from ktg.wording import count, format_duration

SPARED = 5  # one trial in this many is not stopped by `auto`
PROVEN_CORRELATION = 0.5
FEWEST_PAIRS = 8  # of ranks, below which their correlation proves nothing


@dataclass(frozen=True)
class Brackets:
    """When trials are judged. rungs: the epochs, ascending, for each bracket.

    proven: whether a rung stops only what finished trials prove that it may.
    """

    rungs: tuple[tuple[int, ...], ...]
    factor: float
    proven: bool = False


def plan_brackets(search: Search, epochs: int) -> Brackets | None:
    """Return what a search asks for, None where no trial can be stopped before its last epoch."""
    grace, factor = search.grace_epochs, search.reduction_factor
    if search.scheduler == "none" or grace >= epochs:
        return None
    number = 1
    if search.scheduler == "hyperband":  # log(1000, 10) is 2.9999999999999996, and means 3
        number = max(1, math.floor(math.log(epochs / grace, factor) + 1e-9))
    milestones = [grace * factor**power for power in range(_count_rungs(grace, factor, epochs))]
    # With a factor below 2 neighbouring rungs may round up to the same epoch; one of them is left.
    rungs = [sorted({math.ceil(at) for at in milestones[first:]}) for first in range(number)]
    below = tuple(tuple(at for at in each if at < epochs) for each in rungs)
    return Brackets(below, factor, proven=search.scheduler == "auto")


def _count_rungs(grace: int, factor: float, epochs: int) -> int:
    """Return how many rungs come before the last epoch: 3 for epochs 1, 2 and 4 of 8."""
    power = 0
    while grace * factor**power < epochs:
        power += 1
    return power


def compute_shares(brackets: int, factor: float) -> list[float]:
    """Return the share of trials in each bracket, so that all brackets get about the same budget.

    Bracket s, whose first rung comes factor^s times later, has factor^-s as many trials at it,
    corrected for its having s rungs less: 3 brackets of factor 2 have sizes 2 : 4/3 : 1,
    that is shares of 0.46, 0.31 and 0.23.
    """
    sizes = [factor ** (brackets - s) / (brackets + 1 - s) for s in range(brackets)]
    return [size / sum(sizes) for size in sizes]


def choose_bracket(brackets: Brackets, trials: Sequence[Trial]) -> int:
    """Return the bracket that most lacks a trial, the first of equals.

    Drawing at random would need a generator of its own, and give some brackets too few.
    """
    begun = [0] * len(brackets.rungs)
    for trial in trials:
        if trial.bracket is not None:
            begun[trial.bracket] += 1
    shares, total = compute_shares(len(begun), brackets.factor), sum(begun) + 1
    return max(range(len(begun)), key=lambda i: (shares[i] * total - begun[i], -i))


def should_stop(
    brackets: Brackets,
    trials: Sequence[Trial],
    trial: Trial,
    epoch: int,
    score: float,
    effects: FoldEffects = NO_EFFECTS,
) -> bool:
    """Return whether a trial ends here: it is at a rung, and below the cutoff of those before it.

    Call it before the epoch is recorded. A baseline is never stopped, nor a trial of the race, for
    they are what others are compared with; a baseline counts for others. An epoch that was trained
    again after the death of a worker is not judged twice; a trial that resumes between two rungs is
    not judged by the lower. effects: of the folds, taken out of the scores.
    """
    rungs = brackets.rungs[trial.bracket or 0]
    if trial.is_guaranteed or epoch not in rungs or epoch in trial.scores:
        return False
    before = [
        other
        for other in trials
        if other is not trial and epoch in other.scores and _counts_for(trial, other)
    ]
    if brackets.proven and (trial.number % SPARED == 0 or not _is_proven(before, epoch, effects)):
        return False
    others = [to_mean_fold(other.scores[epoch], other.fold, effects) for other in before]
    level = to_mean_fold(score, trial.fold, effects)
    return bool(others) and level < compute_cutoff(others, brackets.factor)


def _is_proven(trials: Sequence[Trial], epoch: int, effects: FoldEffects) -> bool:
    """Return whether ranks at an epoch are proven to foretell those at the end."""
    return rank_correlation_bound(_list_ends(trials, epoch, effects)) > PROVEN_CORRELATION


def _list_ends(
    trials: Sequence[Trial], epoch: int, effects: FoldEffects
) -> list[tuple[float, float]]:
    """Return of finished trials the scores at an epoch and at the end, as on the mean fold.

    An easy fold is easy at both, which foretells nothing of a graph.
    """
    return [
        (
            to_mean_fold(trial.scores[epoch], trial.fold, effects),
            to_mean_fold(trial.score, trial.fold, effects),
        )
        for trial in trials
        if trial.state == "finished" and trial.epoch > epoch and epoch in trial.scores
    ]


def rank_correlation_bound(pairs: Sequence[tuple[float, float]]) -> float:
    """Return what Spearman's rank correlation of pairs is above with 97.5 %, -1 if unknown."""
    found = correlate_ranks(pairs)
    return -1.0 if found is None else found[1][0]


def correlate_ranks(pairs: Sequence[tuple[float, float]]) -> tuple[float, Interval] | None:
    """Return Spearman's rank correlation of pairs, and its interval of 95 %.

    The interval is that of Fisher's transformation with the variance of Bonett and Wright ("Sample
    size requirements for estimating Pearson, Kendall and Spearman correlations", Psychometrika,
    2000). None for fewer than FEWEST_PAIRS, or where all are equal.
    """
    from scipy.stats import spearmanr

    n = len(pairs)
    if n < FEWEST_PAIRS or any(len({pair[side] for pair in pairs}) < 2 for side in (0, 1)):
        return None
    found = float(spearmanr(pairs).statistic)
    centre = math.atanh(max(min(found, 1 - 1e-9), 1e-9 - 1))
    half = 1.96 * math.sqrt((1 + found**2 / 2) / (n - 3))
    return found, (math.tanh(centre - half), math.tanh(centre + half))


def describe_stopping(
    search: Search, trials: Sequence[Trial], effects: FoldEffects = NO_EFFECTS
) -> str | None:
    """Return in a sentence or two what a scheduler stopped and saved, None where there is none.

    Of `auto` it adds how well ranks foretold those at the end among the trials that it spares.
    effects: as of `should_stop`.
    """
    if search.scheduler == "none":
        return None
    stopped = [one for one in trials if one.state == "stopped" and one.rung is not None]
    judged = [one for one in trials if not one.is_guaranteed]
    said = f"{search.scheduler} stopped {len(stopped)} of {count(len(judged), 'trial')}"
    if stopped:
        at = Counter(one.rung for one in stopped)
        places = ", ".join(f"{number} after epoch {epoch}" for epoch, number in sorted(at.items()))
        epochs = sum(one.graph.train.epochs - one.epoch for one in stopped)
        seconds = format_duration(sum(one.saved_s for one in stopped))
        said += f" ({places}), which saved {count(epochs, 'epoch')} and {seconds} of training"
    spared = [one for one in judged if one.number % SPARED == 0 and one.state == "finished"]
    if search.scheduler != "auto":
        return f"{said}."
    rungs = _list_rungs(search, spared)
    ranks = [_describe_ranks(spared, epoch, effects) for epoch in rungs]
    return f"{said}. Ranks {'; '.join(ranks)}." if ranks else f"{said}."


def _list_rungs(search: Search, trials: Sequence[Trial]) -> tuple[int, ...]:
    """Return the epochs at which `auto` judged the longest of these trials."""
    epochs = max((one.graph.train.epochs for one in trials), default=0)
    brackets = plan_brackets(search, epochs)
    return brackets.rungs[0] if brackets else ()


def _describe_ranks(spared: Sequence[Trial], epoch: int, effects: FoldEffects) -> str:
    """Return how the ranks of spared trials after an epoch go with those at their end."""
    pairs = _list_ends(spared, epoch, effects)
    found, what = correlate_ranks(pairs), f"after epoch {epoch} and at the end"
    trials = count(len(pairs), "spared trial")
    if found is None:
        return f"{what}: unknown by {trials}"
    value, (low, high) = found
    return f"{what}: correlation {value:.2f} (95 % {low:.2f} to {high:.2f}) of {trials}"


def compute_cutoff(scores: Sequence[float], factor: float) -> float:
    """Return the score that the best one in `factor` reach, interpolated between two of them.

    The cutoff of 0.1, 0.2, 0.3 and 0.6 is 0.25 with factor 2, and 0.375 with factor 4.
    """
    return float(np.nanpercentile(scores, (1 - 1 / factor) * 100))


def _counts_for(trial: Trial, other: Trial) -> bool:
    """Return whether a trial is judged beside another one.

    Those of the race are not, as their graphs count already, nor those of another arm, or of
    another length: with fewer epochs, the small steps of the end are taken sooner. A trial of an
    earlier process counts in every bracket, as nobody knows any more which was its own, unless it
    failed or has not been taken up again.
    """
    if other.race_of is not None or other.arm != trial.arm:
        return False
    if other.graph.train.epochs != trial.graph.train.epochs:
        return False
    if other.bracket is None:
        return other.state in ("finished", "stopped")
    return other.bracket == trial.bracket
