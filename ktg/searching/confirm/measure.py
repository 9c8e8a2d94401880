"""Says what a verdict goes by, and what each test image counts for it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ktg.graph.space import MetricName
from ktg.searching.score import WORDS
from ktg.searching.seed_queue import SeedRun

Labels = npt.NDArray[np.int64]
Marks = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measure:
    """What graphs are held against each other by: accuracy, or balanced accuracy.

    weights: (N,) what each test image counts, 1 on average. The mean of the weighted marks of who
    was right is the metric, so that intervals of paired means hold for both.
    """

    metric: MetricName
    weights: Marks

    def mark(self, right: str) -> Marks:
        """Return the marks (N,) of the test images; right: a 1 for each that was right, else 0."""
        return parse_bits(right) * self.weights

    def score(self, run: SeedRun) -> float:
        """Return how good a training is by the metric, in [0, 1]."""
        return run.accuracy if self.metric == "accuracy" else float(self.mark(run.right).mean())


def make_measure(metric: MetricName, labels: Labels) -> Measure:
    """Return what the verdict on a search with this metric goes by; labels: (N,), of its test.

    An image of a class that has n of N test images counts N / (n K) for balanced accuracy, where K
    classes have images. No other metric is a mean of marks for single images, as which the test
    split is stored: these go by accuracy (see `explain_measure`).

    >>> make_measure("balanced_accuracy", np.array([0, 0, 0, 1])).weights.round(2).tolist()
    [0.67, 0.67, 0.67, 2.0]
    """
    if metric != "balanced_accuracy":
        return Measure("accuracy", np.ones(len(labels)))
    _, places, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return Measure(metric, len(labels) / (len(sizes) * sizes[places]))


def parse_bits(right: str) -> Marks:
    """Return a text of 0s and 1s as numbers.

    >>> parse_bits("011").tolist()
    [0.0, 1.0, 1.0]
    """
    return np.frombuffer(right.encode(), np.uint8) - np.float64(ord("0"))


def explain_measure(searched_by: MetricName, metric: MetricName) -> str:
    """Return in a sentence what a verdict goes by; empty where both are accuracy.

    searched_by: the metric of the search. metric: that of the verdict.
    """
    if searched_by == metric == "accuracy":
        return ""
    if searched_by == metric:
        return f"Scores and differences are of {WORDS[metric]}, as in the search."
    return (
        f"Scores and differences are of {WORDS[metric]}, and not of {WORDS[searched_by]}, which "
        "the search chose by: the intervals are of images that were right or wrong."
    )
