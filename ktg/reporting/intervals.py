"""Intervals of 95 % for accuracies and their differences. An interval is (low, high), in the unit of its accuracy."""

import math

CONFIDENCE = 0.95
Interval = tuple[float, float]


def binomial(accuracy: float, images: int) -> Interval:
    """Return the interval of an accuracy in [0, 1] that was measured once on `images` images.

    It covers which images were drawn, not which seed was (Wilson, Journal of the American Statistical Association,
    1927). Raises ValueError when there are no images.
    """
    from scipy.stats import binomtest

    low, high = binomtest(round(accuracy * images), images).proportion_ci(CONFIDENCE, method="wilson")
    return float(low), float(high)


def of_mean(mean: float, std: float, n: int) -> Interval:
    """Return the interval of a mean over n >= 2 seeds with deviation `std` (Student's t, n - 1 degrees of freedom)."""
    half = _quantile(n - 1) * std / math.sqrt(n)
    return mean - half, mean + half


def of_difference(a: tuple[float, float, int], b: tuple[float, float, int]) -> Interval:
    """Return the interval of mean(a) - mean(b), each given as (mean, std, n >= 2); Welch, Biometrika, 1947.

    The seeds need not be the same, so nothing is gained where they are.
    """
    (mean_a, std_a, n_a), (mean_b, std_b, n_b) = a, b
    part_a, part_b = std_a**2 / n_a, std_b**2 / n_b
    difference = mean_a - mean_b
    if part_a + part_b == 0:
        return difference, difference
    freedom = (part_a + part_b) ** 2 / (part_a**2 / (n_a - 1) + part_b**2 / (n_b - 1))
    half = _quantile(freedom) * math.sqrt(part_a + part_b)
    return difference - half, difference + half


def _quantile(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, freedom))
