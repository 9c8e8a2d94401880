"""Computes confidence intervals of 95 % for accuracies and their differences.

An interval is (low, high), in the unit of its accuracy, and never beyond what can be: an accuracy
lies in [0, 1], a difference of two in [-1, 1]. Only that of `paired_mean_interval` is of any unit.
"""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
Interval = tuple[float, float]
_ROUNDING = 1e-12  # by which equal differences of accuracies differ


def binomial_interval(accuracy: float, images: int) -> Interval:
    """Return the interval of an accuracy in [0, 1] that was measured once on `images` images.

    It covers the chance of drawing these images, not that of the seed. The method is Wilson's
    (Journal of the American Statistical Association, 1927): 0.9 on 100 images -> (0.826, 0.945).
    Raises ValueError when there are no images.
    """
    from scipy.stats import binomtest

    right = round(accuracy * images)
    low, high = binomtest(right, images).proportion_ci(CONFIDENCE, method="wilson")
    return float(low), float(high)


def mean_interval(mean: float, std: float, n: int) -> Interval | None:
    """Return the interval of a mean over n >= 2 seeds with standard deviation `std`.

    It is Student's t with n - 1 degrees of freedom: mean 0.9, std 0.01, n 5 -> (0.888, 0.912). None
    for seeds that are all equal, as on few images they often are by chance: mean 0.9, std 0 would
    be (0.9, 0.9), and nothing says how far the next seed may lie.
    """
    if std <= _ROUNDING:
        return None
    half = _quantile(n - 1) * std / math.sqrt(n)
    return max(mean - half, 0.0), min(mean + half, 1.0)


def proportion_difference_interval(
    a: float, b: float, images: int, comparisons: int = 1
) -> Interval:
    """Return the interval of a - b, accuracies in [0, 1] measured once on `images` images.

    The method is Newcombe's hybrid of two Wilson intervals for independent samples (his method 10;
    Statistics in Medicine, 1998, p. 873). Where the images are the same, which is not made use of,
    it is too wide rather than too narrow. comparisons: as of `paired_interval`.

    9 of 10 and 3 of 10, one of his examples -> (0.1705, 0.8090).
    """
    from scipy.stats import binomtest

    level = 1 - (1 - CONFIDENCE) / comparisons
    (low_a, high_a), (low_b, high_b) = (
        binomtest(round(each * images), images).proportion_ci(level, method="wilson")
        for each in (a, b)
    )
    low = math.hypot(a - low_a, high_b - b)
    high = math.hypot(high_a - a, b - low_b)
    return _within(a - b - low, a - b + high)


def paired_proportion_interval(a: NDArray[Any], b: NDArray[Any]) -> Interval:
    """Return the interval of a - b, the accuracies of two classifiers on the same images.

    a, b: (images >= 1), whether each was right; of one training each, so that it covers other
    images and not other seeds. The method is Newcombe's for paired data, with a correction of the
    correlation for continuity (his method 10; "Improved confidence intervals for the difference
    between binomial proportions based on paired data", Statistics in Medicine, 1998, p. 2635).

    Of 50 images 36 both right, 12 only by the first, 2 only by the second, one of his examples ->
    (0.0569, 0.3404).
    """
    from scipy.stats import binomtest

    first, second = np.asarray(a, bool), np.asarray(b, bool)
    images = len(first)
    table = [int((x & y).sum()) for x in (first, ~first) for y in (second, ~second)]
    ends = [
        (each.mean(), *binomtest(int(each.sum()), images).proportion_ci(method="wilson"))
        for each in (first, second)
    ]
    (p_a, low_a, high_a), (p_b, low_b, high_b) = ends
    both, only_a, only_b, none = table
    margins = (both + only_a) * (only_b + none) * (both + only_b) * (only_a + none)
    product = float(both * none - only_a * only_b)
    corrected = max(product - images / 2, 0.0) if product > 0 else product
    phi = corrected / math.sqrt(margins) if margins else 0.0

    def add(x: float, y: float) -> float:
        return math.sqrt(max(x**2 - 2 * phi * x * y + y**2, 0.0))

    difference = float(p_a - p_b)
    low, high = add(p_a - low_a, high_b - p_b), add(high_a - p_a, p_b - low_b)
    return _within(difference - low, difference + high)


def difference_interval(a: tuple[float, float, int], b: tuple[float, float, int]) -> Interval:
    """Return the interval of mean(a) - mean(b), each given as (mean, std, n >= 2).

    The method is Welch's (Biometrika, 1947): (0.92, 0.01, 5) and (0.9, 0.01, 5) -> (0.005, 0.035).
    It does not need the same seeds on both sides, and makes no use of them where they are the same.
    Where the seeds of either side are all equal, it is that of so many equal pairs (see
    `paired_mean_interval`): (0.95, 0, 2) and (0.9, 0, 2) -> (-0.0217, 0.1217).
    """
    (mean_a, std_a, n_a), (mean_b, std_b, n_b) = a, b
    part_a, part_b = std_a**2 / n_a, std_b**2 / n_b
    difference = mean_a - mean_b
    if max(std_a, std_b) <= _ROUNDING:
        return _within(*paired_mean_interval([difference] * min(n_a, n_b)))
    freedom = (part_a + part_b) ** 2 / (part_a**2 / (n_a - 1) + part_b**2 / (n_b - 1))
    half = _quantile(freedom) * math.sqrt(part_a + part_b)
    return _within(difference - half, difference + half)


def paired_interval(differences: NDArray[Any], comparisons: int = 1) -> Interval:
    """Return the interval of the mean difference between two classifiers.

    differences: (seeds >= 2, images >= 2), from trainings with the same seeds on the same images.
    comparisons: this many intervals hold all at once with 95 % (Bonferroni).

    The interval covers other seeds and other images of the same kind. Student's t over the seeds
    alone ignores the images: in a simulation where images matter, with 5 seeds and 400 images, it
    held the truth in 76 of 100 cases. The variance of the mean is that of crossed random effects
    (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics, 2007), and never less than that
    of seeds or images alone. Degrees of freedom are Satterthwaite's (Biometrics Bulletin, 1946).

    Two seeds, four images: [[1, 0, 0, 1], [0, 0, 1, 1]] -> (-0.150, 1).
    """
    seeds, images = differences.shape
    by_seed, by_image = differences.mean(axis=1), differences.mean(axis=0)
    mean = float(differences.mean())
    part_seeds, part_images = by_seed.var(ddof=1) / seeds, by_image.var(ddof=1) / images
    rest = differences - by_seed[:, None] - by_image + mean
    # Both other parts contain this one, so their sum counts it twice.
    part_rest = (rest**2).sum() / ((seeds - 1) * (images - 1)) / (seeds * images)
    if part_seeds + part_images == 0:
        return mean, mean
    by_parts = part_seeds**2 / (seeds - 1) + part_images**2 / (images - 1)
    freedom = (part_seeds + part_images) ** 2 / by_parts
    variance = max(part_seeds + part_images - part_rest, part_seeds, part_images)
    half = _quantile(freedom, comparisons) * math.sqrt(variance)
    return _within(mean - half, mean + half)


def paired_mean_interval(differences: Sequence[float], comparisons: int = 1) -> Interval:
    """Return the interval of a mean difference over seeds, of which there are at least two.

    It is Student's t over the pairs (Student, Biometrika, 1908), of any metric, so that it is not
    cut here (`ktg.searching.score.cut_difference` does), and covers other seeds on the same images.
    comparisons: as of `paired_interval`. On few images differences are
    often equal by chance, and a spread of zero would prove anything: where all are, the width is
    that with one more pair, without a difference.

    Differences 0.01, 0.02 and 0.03 -> (-0.0048, 0.0448); twice 0.05 -> (-0.0217, 0.1217), three
    times (0.0102, 0.0898).
    """
    mean = statistics.fmean(differences)
    seen = list(differences)
    if max(seen) - min(seen) <= _ROUNDING:
        seen.append(0.0)
    half = statistics.stdev(seen) / math.sqrt(len(seen)) * _quantile(len(seen) - 1, comparisons)
    return mean - half, mean + half


def _within(low: float, high: float) -> Interval:
    """Return the ends of a difference of accuracies, cut to what such a difference can be."""
    return max(low, -1.0), min(high, 1.0)


def _quantile(freedom: float, comparisons: int = 1) -> float:
    from scipy.stats import t

    return float(t.ppf(1 - (1 - CONFIDENCE) / (2 * comparisons), freedom))
