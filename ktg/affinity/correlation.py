"""Measures how well a score predicts accuracy: rank correlations, intervals and regret."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ktg.affinity.table import Numbers, Table
from ktg.graph.holes import SMALLER_IS_BETTER, Direction, TauRank

RESAMPLES = 1000
LEVEL = 0.95
# Columns that stand for what one knows of a model without any score; a score should do better.
BASELINES = ("imagenet", "imagenet_top1", "source_accuracy", "parameters", "knn", "linear_probe")

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class ScoreCorrelation:
    """How one score goes with accuracy, on raw values: negative is good if smaller is better.

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
    groups: Mapping[str, "ScoreCorrelation"] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        plain = {name: value for name, value in vars(self).items() if name != "groups"}
        plain["interval"] = None if self.interval is None else list(self.interval)
        if self.groups is not None:
            plain["groups"] = {name: figures.to_json() for name, figures in self.groups.items()}
        return plain


def correlate(
    table: Table, tau_rank: TauRank = "none", seed: int = 0
) -> dict[str, ScoreCorrelation]:
    """Return the figures of every score of a table.

    `tau_rank` names what gives a model its weight in Kendall's weighted tau (Vigna, "A Weighted
    Correlation Index for Rankings with Ties", WWW 2015): its rank by score, by accuracy, or
    neither, which is the mean of both.
    """
    parts = table.rows_by_group()
    draws = _draw_rows(table, parts, np.random.default_rng(seed))
    found = {}
    for name, values in table.scores.items():
        each = {
            group: measure_correlations(
                values[rows], table.accuracy[rows], draws[group], intended_direction(name), tau_rank
            )
            for group, rows in parts.items()
        }
        if table.groups is None:
            found[name] = each[""]
        else:
            resampled = [
                _resample(values[rows], table.accuracy[rows], draws[group])
                for group, rows in parts.items()
            ]
            found[name] = _mean(each, _mean_of_defined(np.stack(resampled)))
    return found


def intended_direction(name: str) -> Direction:
    """Return the intended direction of a score; `larger` for one that ktg does not know."""
    return "smaller" if name.lower() in SMALLER_IS_BETTER else "larger"


def measure_correlations(
    score: Numbers, accuracy: Numbers, draws: Rows, direction: Direction, tau_rank: TauRank
) -> ScoreCorrelation:
    """Return the correlations of a score (N,) with an accuracy (N,) that is not constant.

    draws: (B, N) rows of B resamples.
    """
    if np.ptp(score) == 0:
        return ScoreCorrelation()
    from scipy import stats

    return ScoreCorrelation(
        spearman=float(stats.spearmanr(score, accuracy).statistic),
        weighted_tau=weighted_tau(score, accuracy, tau_rank, direction),
        kendall=float(stats.kendalltau(score, accuracy).statistic),
        pearson=float(stats.pearsonr(score, accuracy).statistic),
        regret=regret(score, accuracy, direction),
        interval=_interval(_resample(score, accuracy, draws)),
    )


def weighted_tau(
    score: Numbers, accuracy: Numbers, rank: TauRank, direction: Direction = "larger"
) -> float:
    """Return Kendall's tau with hyperbolic weights: pairs of high rank count more.

    The first rank is that of the largest accuracy, or of the score that is best by `direction`.
    """
    from scipy import stats

    if direction == "smaller":
        return -weighted_tau(-score, accuracy, rank)
    if rank == "accuracy":  # scipy ranks by its first argument, and the correlation is symmetric
        return float(stats.weightedtau(accuracy, score, rank=None).statistic)
    return float(
        stats.weightedtau(score, accuracy, rank=None if rank == "score" else True).statistic
    )


def regret(score: Numbers, accuracy: Numbers, direction: Direction) -> float:
    """Return the best accuracy minus the mean accuracy of the models that the score puts first.

    Scores 3, 2, 1 with accuracies 0.7, 0.9, 0.8 have a regret of 0.9 - 0.7 = 0.2.
    """
    first = score.max() if direction == "larger" else score.min()
    return float(accuracy.max() - accuracy[score == first].mean())


def _draw_rows(
    table: Table, parts: Mapping[str, Rows], random: np.random.Generator
) -> dict[str, Rows]:
    """Return resampled rows (B, n) of each group; groups of equal models share what is drawn."""
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


def _resample(score: Numbers, accuracy: Numbers, draws: Rows) -> Numbers:
    """Return Spearman's correlation of each resample (B,), NaN where one side is constant."""
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


def _mean(groups: Mapping[str, ScoreCorrelation], resampled: Numbers) -> ScoreCorrelation:
    """Return means over the groups in which the score is not constant."""
    defined = [vars(figures) for figures in groups.values() if figures.spearman is not None]
    if not defined:
        return ScoreCorrelation(groups=groups)
    names = ("spearman", "weighted_tau", "kendall", "pearson", "regret")
    means = {name: float(np.mean([figures[name] for figures in defined])) for name in names}
    return ScoreCorrelation(**means, interval=_interval(resampled), groups=groups)


def _mean_of_defined(values: Numbers) -> Numbers:
    with warnings.catch_warnings():
        # A resample that is undefined in every group stays NaN, which numpy warns about.
        warnings.simplefilter("ignore", RuntimeWarning)
        means: Numbers = np.nanmean(values, axis=0)
    return means


def count_beaten(
    found: Mapping[str, ScoreCorrelation], baseline: str, baselines: Sequence[str]
) -> tuple[int, int]:
    """Return how many scores a baseline beats by its oriented correlation, and of how many."""
    mark = orient(baseline, found[baseline])
    scores = [orient(name, figures) for name, figures in found.items() if name not in baselines]
    return sum(value < mark for value in scores), len(scores)


def orient(name: str, figures: ScoreCorrelation) -> float:
    """Return Spearman's correlation with its sign such that more is better; -inf if undefined."""
    if figures.spearman is None:
        return float("-inf")
    return figures.spearman if intended_direction(name) == "larger" else -figures.spearman
