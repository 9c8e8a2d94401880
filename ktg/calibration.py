"""Makes probabilities mean something: calibrates them, measures how far off they are, and refuses.

Everything is computed from logits or probabilities (N, C) of labelled images that the network was
not trained on. The logarithms of probabilities are logits too: temperatures do to both the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]
LogitScore = Literal["probability", "energy"]
ScoreName = Literal["probability", "energy", "closeness"]  # the last one is of features

BINS = 10
MOST_THRESHOLDS = 200
_DOUBT = 0.2
_COLDEST, _HOTTEST = 0.02, 50.0
_SMALLEST = 1e-30  # stands for a probability that float32 rounds to 0, whose logarithm is none


def _doc(text: str, **bounds: float) -> dict[str, Any]:
    """Return what the reader of model files (`ktg.graph.fields`) wants to know of a field."""
    return {"doc": text, "bounds": bounds}


def to_logits(probabilities: Floats) -> Floats:
    """Return the logarithms of probabilities (N, C), which are logits."""
    return np.log(np.maximum(np.asarray(probabilities, np.float64), _SMALLEST))


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """Return the temperature by which logits (N, C) are divided before the softmax.

    It is the one with the lowest mean cross-entropy on these images (Guo et al., "On Calibration of
    Modern Neural Networks", ICML 2017): above 1 for a network that is too sure. A fifth of an image
    more counts, of which any class is the label alike: of few images that are all right the
    temperature would else be 0. (Simulated with 20 to 1,000 images of 10 classes, a fifth has a
    lower loss on new images than nothing and than a whole image, as in the rule of succession.)

    [[2, 0], [2, 0], [2, 0], [2, 0]] with labels 0, 0, 0, 1: 3.1 of 4.2 right, whose logit is
    log(3.1 / 1.1) = 1.036 -> 1.93.
    """
    from scipy.optimize import minimize_scalar

    logits = np.asarray(logits, np.float64)
    known = logits[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        scale = np.exp(-log_temperature)
        norms = _log_sum_exp(scale * logits)
        doubt = norms.mean() - scale * logits.mean()
        return float((norms - scale * known).sum() + _DOUBT * doubt)

    bounds = (np.log(_COLDEST), np.log(_HOTTEST))
    found = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def soften(logits: Floats, temperature: float = 1.0) -> Floats:
    """Return the probabilities (N, C) of logits that are divided by a temperature.

    [ln 0.8, ln 0.2] at 2 -> [0.667, 0.333].
    """
    logits = np.asarray(logits, np.float64) / temperature
    return np.asarray(np.exp(logits - _log_sum_exp(logits)[:, None]))


@dataclass(frozen=True, kw_only=True)
class ReliabilityBin:
    """Images whose largest probability lies in a tenth of [0, 1]: its mean, and the share right."""

    images: int = field(metadata=_doc("How many images.", at_least=1))
    confidence: float = field(
        metadata=_doc("Mean of the largest probability.", at_least=0, at_most=1)
    )
    accuracy: float = field(metadata=_doc("Share that is right.", at_least=0, at_most=1))


def measure_reliability(probabilities: Floats, labels: Labels) -> tuple[ReliabilityBin, ...]:
    """Return the bins of equal width that hold images, the least sure first."""
    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    return tuple(
        ReliabilityBin(
            images=int(inside.sum()),
            confidence=float(sure[inside].mean()),
            accuracy=float(right[inside].mean()),
        )
        for place in range(BINS)
        if (inside := places == place).any()
    )


def compute_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the expected calibration error in [0, 1]: by how much confidence misses accuracy.

    It is the mean over images of the difference in their bin (Naeini et al., AAAI 2015): three
    images with 0.9, two of them right, and one with 0.5 that is right -> 0.3.
    """
    images = sum(each.images for each in bins)
    return sum(each.images * abs(each.confidence - each.accuracy) for each in bins) / images


def score_knowing(by: LogitScore, logits: Floats) -> Floats:
    """Return how well an image is known (N,), by its calibrated logits (N, C); more is better.

    probability: the largest (Hendrycks and Gimpel, ICLR 2017); energy: the logarithm of the sum of
    the exponentials, which is minus the energy (Liu et al., NeurIPS 2020).
    [0, ln 3] -> 0.75, and ln 4 = 1.386.
    """
    logits = np.asarray(logits, np.float64)
    energy = _log_sum_exp(logits)
    return energy if by == "energy" else np.exp(logits.max(axis=1) - energy)


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """What would be right of labelled images if those below a threshold were called unknown.

    `thresholds` rise; at each, `answered` images reach it, and `right` of these are right.
    """

    by: ScoreName = field(metadata=_doc("What the thresholds are of."))
    thresholds: tuple[float, ...] = field(metadata=_doc("Rising."))
    answered: tuple[int, ...] = field(metadata=_doc("Images that reach the threshold.", at_least=1))
    right: tuple[int, ...] = field(metadata=_doc("How many of them are right.", at_least=0))

    def choose_threshold(self, precision: float) -> tuple[float, int, int] | None:
        """Return the lowest threshold at which this share of the answers is right.

        With it come how many images are answered, and how many of them rightly: few say little.
        Returns None where no threshold reaches the share.
        """
        rows = zip(self.thresholds, self.answered, self.right, strict=True)
        return next((row for row in rows if row[2] >= precision * row[1]), None)


def measure_rejection(by: ScoreName, scores: Floats, right: npt.NDArray[np.bool_]) -> Rejection:
    """Return what thresholds do to labelled images, with scores (N,) and whether they are right.

    There are at most `MOST_THRESHOLDS`, with about as many images between each two.
    """
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ranked, hits = scores[order], np.cumsum(right[order])
    # Images with one score are answered together: only the last of them ends a group.
    ends = np.flatnonzero(np.append(ranked[1:] < ranked[:-1], True))
    if len(ends) > MOST_THRESHOLDS:
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, MOST_THRESHOLDS).astype(int))]
    ends = ends[::-1]
    return Rejection(
        by=by,
        thresholds=tuple(float(ranked[end]) for end in ends),
        answered=tuple(int(end) + 1 for end in ends),
        right=tuple(int(hits[end]) for end in ends),
    )


def _log_sum_exp(logits: Floats) -> Floats:
    most = logits.max(axis=1)
    return np.asarray(most + np.log(np.exp(logits - most[:, None]).sum(axis=1)))
