"""Says what score to expect of a graph: what was seen of it, and what its kind is worth elsewhere.

Of 20 validation images one is five points, and new seeds are judged by the same 20: the best mean
is the luckiest. What each kind of arrangement was worth on other data sets (`ktg.proposing.kinds`)
is a prior: a graph's true score is the target's alone, plus its kind's lead, plus a deviation of
its settings. What was seen of it, the mean of its trainings, has an error by seeds and one by
images, of which graphs of one kind share a part. All normal, the expectation is the best linear
prediction (Lindley and Smith, "Bayes estimates for the linear model", JRSS B, 1972; Henderson,
Biometrics, 1975). With hundreds of images it is what was seen; with 20, what kinds are worth counts
for more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ktg.graph.space import MetricName
from ktg.proposing.kinds import LEADS, Kind, Lead

Labels = npt.NDArray[np.int64]

# Of ten labels a class and five sets, by `python benchmarks/choice.py --leads`; a test compares.
# How being right on an image correlates between trainings of two kinds, and of one kind: two seeds
# of a graph agree no more than two lengths of it do.
BETWEEN_KINDS, WITHIN_KIND = 0.38, 0.73
SEED_STD = 0.0  # of the true accuracy, between trainings of one graph: too small to be seen
SETTINGS_STD = 0.015  # of the true accuracy, between graphs of one kind
SEED_WEIGHT = 4  # trainings, as which these count where a search has a spread of its own
_FAILED = 4.0  # deviations below the best of its kind; what failed says nothing of its kind
_FAILED_STD = 0.3


JUDGES = "data.judges"  # the tag of a search that says how many images judge one training
# By which images are right or wrong one by one: only of these scores are noise and leads known.
JUDGED: tuple[MetricName, ...] = ("accuracy", "balanced_accuracy")


def count_judges(metric: MetricName, val: Labels, train: Labels, folds: int | None) -> float | None:
    """Return how many images judge one training, None for a score that is no accuracy.

    val, train: labels (N,) of the split, of which folds are cut if there are any. The mean over
    classes of different sizes is as uncertain as an accuracy on fewer images: of 10 and 90 images
    of two classes, as 36.

    >>> count_judges("balanced_accuracy", np.repeat([0, 1], [10, 90]), np.array([]), None)
    36.0
    """
    if metric not in JUDGED:
        return None
    labels, times = (val, 1) if folds is None else (np.concatenate([val, train]), folds)
    if metric == "accuracy":
        return round(len(labels) / times, 1)
    sizes = np.unique(labels, return_counts=True)[1]
    return round(float(len(sizes) ** 2 / (1 / sizes).sum()) / times, 1)


@dataclass(frozen=True)
class Seen:
    """What a search has seen of a graph: the mean score of some trainings, on so many images.

    images: different ones, that judged its trainings. trainings: infinity where another seed
    would change nothing.
    """

    kind: Kind
    score: float
    trainings: float
    images: float


def measure_noise(seen: Seen, level: float, spread: float | None, freedom: int) -> float:
    """Return the variance of a graph's mean score around its true one, of its own.

    level: a usual accuracy here. spread: between trainings of one graph, as the search has found it
    with so many degrees of freedom. What graphs share of the images' difficulty is not in it.
    """
    by_image = level * (1 - level) / seen.images
    if math.isinf(seen.trainings):  # one training, which seeds cannot change
        return (1 - WITHIN_KIND) * by_image
    variance = SEED_STD**2 + (1 - WITHIN_KIND) * by_image
    if spread is not None:
        variance = (freedom * spread**2 + SEED_WEIGHT * variance) / (freedom + SEED_WEIGHT)
    return variance / seen.trainings


def measure_image_std(level: float, images: float) -> float:
    """Return by how much images may change the difference of two kinds, one deviation.

    That part of it is the same for all seeds, so that no spread between seeds tells of it.

    >>> round(measure_image_std(0.7, 20), 3) > 0.04 > measure_image_std(0.7, 500)
    True
    """
    return math.sqrt(2 * (WITHIN_KIND - BETWEEN_KINDS) * level * (1 - level) / images)


def expect_scores(
    graphs: Sequence[Seen],
    spread: float | None = None,
    freedom: int = 0,
    leads: Mapping[Kind, Lead] = LEADS,
    settings: float = SETTINGS_STD,
) -> list[float]:
    """Return the score to expect of each graph, in the unit of the scores, which are in [0, 1].

    spread, freedom: see `measure_noise`. The level of the target alone is estimated from all
    graphs, each without its kind's lead.

    Two graphs, alone and taught, that are equal on 20 images: the taught one is expected better.

    >>> taught = {"alone": Lead(0.0, 0.0, 5), "taught": Lead(0.04, 0.02, 5)}
    >>> two = [Seen("alone", 0.6, 3, 20), Seen("taught", 0.6, 3, 20)]
    >>> [round(each, 2) for each in expect_scores(two, leads=taught)]
    [0.58, 0.62]
    """
    score = np.array([one.score for one in graphs])
    lead = np.array([leads[one.kind].mean for one in graphs])
    level = min(0.98, max(0.02, float(np.median(score))))
    own = np.array([measure_noise(one, level, spread, freedom) for one in graphs])
    varied = np.full(len(graphs), settings**2)
    for kind in {one.kind for one in graphs}:
        of_kind = np.array([one.kind == kind for one in graphs])
        failed = score < score[of_kind].max() - _FAILED * np.sqrt(varied + own)
        varied[of_kind & failed] = _FAILED_STD**2
    same = np.array([[one.kind == other.kind for other in graphs] for one in graphs])
    by_set = same * np.array([leads[one.kind].spread ** 2 for one in graphs])
    images = np.array([one.images for one in graphs])
    shared = (WITHIN_KIND - BETWEEN_KINDS) * level * (1 - level) / np.sqrt(np.outer(images, images))
    of_truth = by_set + np.diag(varied)
    of_seen = of_truth + same * shared + np.diag(own)
    alone = np.linalg.solve(of_seen, np.stack([np.ones_like(score), score - lead], axis=1)).sum(0)
    rest = score - lead - alone[1] / alone[0]
    expected = alone[1] / alone[0] + lead + of_truth @ np.linalg.solve(of_seen, rest)
    return [float(each) for each in expected]
