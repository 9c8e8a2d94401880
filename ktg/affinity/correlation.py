"""How well a score foretells accuracy: rank correlations, their uncertainty, and what following it would cost."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ktg.affinity.table import Numbers, Table
from ktg.graph.spec import SMALLER_IS_BETTER, Direction, TauRank

RESAMPLES = 1000
LEVEL = 0.95
# Columns that stand for what one knows of a model without any score; a score should do better.
BASELINES = ("imagenet", "imagenet_top1", "source_accuracy", "parameters", "knn", "linear_probe")

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Figures:
    """What one score tells of accuracy, on raw values: of a score of which smaller is better, less than 0 is good.

    All are None where the score is constant. `regret` is the accuracy lost, in the units of the
    accuracy column, by taking the best model of the score instead of the best. `interval` holds
    Spearman's correlation in 95 % of the resamples of the models. `groups` has the figures of each
    group; the others are then means over groups.
    """

    spearman: float | None = None
    weighted_tau: float | None = None
    kendall: float | None = None
    pearson: float | None = None
    regret: float | None = None
    interval: tuple[float, float] | None = None
    groups: Mapping[str, "Figures"] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        plain = {name: value for name, value in vars(self).items() if name != "groups"}
        plain["interval"] = None if self.interval is None else list(self.interval)
        if self.groups is not None:
            plain["groups"] = {name: figures.to_json() for name, figures in self.groups.items()}
        return plain


def correlate(table: Table, tau_rank: TauRank = "none", seed: int = 0) -> dict[str, Figures]:
    """Return the figures of every score of a table.

    `tau_rank` names what gives a model its weight in Kendall's weighted tau (Vigna, "A Weighted
    Correlation Index for Rankings with Ties", WWW 2015): its rank by score, by accuracy, or
    neither, which is the mean of both.
    """
    parts = table.parts()
    draws = _draws(table, parts, np.random.default_rng(seed))
    found = {}
    for name, values in table.scores.items():
        each = {
            group: figures(values[rows], table.accuracy[rows], draws[group], better(name), tau_rank)
            for group, rows in parts.items()
        }
        if table.groups is None:
            found[name] = each[""]
        else:
            resampled = [
                _resampled(values[rows], table.accuracy[rows], draws[group])
                for group, rows in parts.items()
            ]
            found[name] = _mean(each, _mean_of_defined(np.stack(resampled)))
    return found


def better(name: str) -> Direction:
    """Return the intended direction of a score; `larger` for one that ktg does not know."""
    return "smaller" if name.lower() in SMALLER_IS_BETTER else "larger"


def figures(
    score: Numbers, accuracy: Numbers, draws: Rows, direction: Direction, tau_rank: TauRank
) -> Figures:
    """Return the figures of a score (N,) and an accuracy (N,) that is not constant; `draws` (B, N) resample."""
    if np.ptp(score) == 0:
        return Figures()
    from scipy import stats

    return Figures(
        spearman=float(stats.spearmanr(score, accuracy).statistic),
        weighted_tau=weighted_tau(score, accuracy, tau_rank),
        kendall=float(stats.kendalltau(score, accuracy).statistic),
        pearson=float(stats.pearsonr(score, accuracy).statistic),
        regret=regret(score, accuracy, direction),
        interval=_interval(_resampled(score, accuracy, draws)),
    )


def weighted_tau(score: Numbers, accuracy: Numbers, rank: TauRank) -> float:
    """Return Kendall's tau with hyperbolic weights: pairs of high rank count more."""
    from scipy import stats

    if rank == "accuracy":  # scipy ranks by its first argument, and the correlation is symmetric
        return float(stats.weightedtau(accuracy, score, rank=None).statistic)
    return float(
        stats.weightedtau(score, accuracy, rank=None if rank == "score" else True).statistic
    )


def regret(score: Numbers, accuracy: Numbers, direction: Direction) -> float:
    """Return the best accuracy less that of the model the score puts first (the mean of those it puts first)."""
    first = score.max() if direction == "larger" else score.min()
    return float(accuracy.max() - accuracy[score == first].mean())


def _draws(table: Table, parts: Mapping[str, Rows], random: np.random.Generator) -> dict[str, Rows]:
    """Return rows to resample for each group, (B, n): the same models in all groups where these share their models."""
    orders = {
        group: np.argsort(np.array(table.models)[rows], kind="stable")
        for group, rows in parts.items()
    }
    models = {tuple(np.array(table.models)[rows][orders[group]]) for group, rows in parts.items()}
    if len(models) == 1:
        size = len(next(iter(parts.values())))
        shared = random.integers(0, size, (RESAMPLES, size))
        return {group: order[shared] for group, order in orders.items()}
    return {
        group: random.integers(0, len(rows), (RESAMPLES, len(rows)))
        for group, rows in parts.items()
    }


def _resampled(score: Numbers, accuracy: Numbers, draws: Rows) -> Numbers:
    """Return Spearman's correlation of each resample, (B,); NaN where one side is constant in it."""
    from scipy.stats import rankdata

    x, y = (rankdata(values[draws], axis=1) for values in (score, accuracy))
    x, y = (ranks - ranks.mean(axis=1, keepdims=True) for ranks in (x, y))
    norm = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    correlations: Numbers = np.divide(
        (x * y).sum(axis=1), norm, out=np.full(len(norm), np.nan), where=norm > 0
    )
    return correlations


def _interval(resampled: Numbers) -> tuple[float, float] | None:
    defined = resampled[np.isfinite(resampled)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _mean(groups: Mapping[str, Figures], resampled: Numbers) -> Figures:
    """Return means over the groups in which the score is not constant."""
    defined = [vars(figures) for figures in groups.values() if figures.spearman is not None]
    if not defined:
        return Figures(groups=groups)
    names = ("spearman", "weighted_tau", "kendall", "pearson", "regret")
    means = {name: float(np.mean([figures[name] for figures in defined])) for name in names}
    return Figures(**means, interval=_interval(resampled), groups=groups)


def _mean_of_defined(values: Numbers) -> Numbers:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # a resample that is undefined in every group stays NaN
        means: Numbers = np.nanmean(values, axis=0)
    return means


def beaten(
    found: Mapping[str, Figures], baseline: str, baselines: Sequence[str]
) -> tuple[int, int]:
    """Return how many scores a baseline beats by its correlation in the intended direction, and of how many."""
    mark = oriented(baseline, found[baseline])
    scores = [oriented(name, figures) for name, figures in found.items() if name not in baselines]
    return sum(value < mark for value in scores), len(scores)


def oriented(name: str, figures: Figures) -> float:
    """Return Spearman's correlation in the intended direction of the score: more is better; -inf if undefined."""
    if figures.spearman is None:
        return float("-inf")
    return figures.spearman if better(name) == "larger" else -figures.spearman
