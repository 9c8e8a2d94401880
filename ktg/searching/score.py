"""Reads from the metrics of an epoch the one that a search compares by: higher is better."""

import math
from collections.abc import Mapping

from ktg.graph.space import MetricName
from ktg.intervals import Interval
from ktg.wording import format_percent

# What workers, the store and its readers call the accuracies and losses of a split.
VAL_ACCURACY, VAL_LOSS = "val_accuracy", "val_loss"
TEST_ACCURACY, TEST_LOSS = "test_accuracy", "test_loss"
TEST_ACCURACY_STD = "test_accuracy_std"  # over seeds
# The tag of a training with which test images it was scored on, by content, order and label. What
# an older ktg has stored lacks it.
TEST_IMAGES = "data.test"
# The metrics of an epoch, by which a search may choose: of the target on the validation split.
KEYS: Mapping[MetricName, str] = {
    "accuracy": VAL_ACCURACY,
    "balanced_accuracy": "val_balanced_accuracy",
    "macro_f1": "val_macro_f1",
    "auroc": "val_auroc",
    "loss": VAL_LOSS,
}
WORDS: Mapping[MetricName, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "loss": "loss",
}
# What a sampler is told of a failed trial. A loss of 10 nats is worse than a guess among 20,000.
_WORST_LOSS = 10.0


def read_score(metric: MetricName, metrics: Mapping[str, float]) -> float:
    """Return how good an epoch was by `metric`, of which higher is better: a loss is negated.

    An epoch without the metric has the worst score.

    >>> read_score("loss", {"val_accuracy": 0.9, "val_loss": 0.25})
    -0.25
    """
    value = metrics.get(KEYS[metric])
    if value is None or math.isnan(value):
        return worst_score(metric)
    return max(-value, worst_score(metric)) if metric == "loss" else value


def worst_score(metric: MetricName) -> float:
    """Return a score that no useful network is below."""
    return -_WORST_LOSS if metric == "loss" else 0.0


def cut_score(metric: MetricName, score: float) -> float:
    """Return a score within what it can be: without the effect of a hard fold 0.99 may be 1.03.

    >>> cut_score("accuracy", 1.03), cut_score("loss", 0.01)
    (1.0, 0.0)
    """
    return min(max(score, worst_score(metric)), 0.0 if metric == "loss" else 1.0)


def cut_difference(metric: MetricName, interval: Interval | None) -> Interval | None:
    """Return the interval of a difference of two scores within what that can be.

    >>> cut_difference("accuracy", (-0.2, 1.4)), cut_difference("loss", (-0.2, 1.4))
    ((-0.2, 1.0), (-0.2, 1.4))
    """
    if interval is None or metric == "loss":
        return interval
    return max(interval[0], -1.0), min(interval[1], 1.0)


def to_value(metric: MetricName, score: float) -> float:
    """Return a score as the metric itself: the score of a loss is that loss, negated."""
    return -score if metric == "loss" else score


def format_score(metric: MetricName, score: float) -> str:
    """Return a score as people read it: 0.9512 is 95.12 %; of loss, -0.25 is 0.2500."""
    value = to_value(metric, cut_score(metric, score))
    return f"{value:.4f}" if metric == "loss" else format_percent(value)


def format_difference(metric: MetricName, difference: float) -> str:
    """Return a difference of two scores: 0.0123 is +1.23, in points; of loss it is in nats.

    The better of two has a positive difference, of loss too.
    """
    return f"{difference:+.4f}" if metric == "loss" else f"{100 * difference:+.2f}"
