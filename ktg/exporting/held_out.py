"""Measures a network on images that it was not trained on, for the description in its file."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ktg.calibration import (
    LogitScore,
    ScoreName,
    compute_calibration_error,
    fit_temperature,
    measure_rejection,
    measure_reliability,
    score_knowing,
    soften,
)
from ktg.class_scores import count_confusions, score_classes
from ktg.exporting.metadata import Calibration, HeldOut
from ktg.models.network import Ensemble, Network
from ktg.training import Training
from ktg.training.scoring import compute_logits

MOST_CLASSES = 50  # above, no table of all pairs is kept: it grows with their square
_KEPT: tuple[LogitScore, ...] = ("probability", "energy")
Logits = npt.NDArray[np.float32]


def has_held_out(training: Training) -> bool:
    """Return whether a training left the validation split out."""
    return not (training.final and training.graph.data.per_class is None)


def compute_held_out(training: Training, network: Network | Ensemble) -> Logits:
    """Return a network's logits (N, C) of the validation split."""
    split = training.split(training.dataset.val)
    return compute_logits(network, split, training.precision).numpy()


def describe_classes(
    split: Literal["val", "test"], logits: Logits, labels: npt.NDArray[np.int64]
) -> HeldOut:
    """Return how logits (N, C) of labelled images do, class by class."""
    predicted, classes = logits.argmax(axis=1), logits.shape[1]
    scores = score_classes(labels, predicted, [str(place) for place in range(classes)]).values()
    table = count_confusions(labels, predicted, classes) if classes <= MOST_CLASSES else ()
    return HeldOut(
        split=split,
        precision=tuple(each.precision for each in scores),
        recall=tuple(each.recall for each in scores),
        f1=tuple(each.f1 for each in scores),
        support=tuple(each.support for each in scores),
        confusion=table,
    )


def calibrate(
    logits: Logits,
    labels: npt.NDArray[np.int64],
    *,
    same: bool,
    closeness: npt.NDArray[np.float64] | None = None,
) -> Calibration | None:
    """Return the calibration by logits (N, C) of the validation split, None without any.

    same: whether the network that they are of is the one that is calibrated. closeness: (N,) of the
    images to its classes, see `ktg.exporting.class_means`.
    """
    if not len(labels) or not np.isfinite(logits).all():
        return None
    temperature = fit_temperature(logits, labels)
    before, after = (
        measure_reliability(soften(logits, each), labels) for each in (1.0, temperature)
    )
    right, calibrated = logits.argmax(axis=1) == labels, logits / temperature
    scores: dict[ScoreName, npt.NDArray[Any]]
    scores = {by: score_knowing(by, calibrated) for by in _KEPT}
    if closeness is not None and np.isfinite(closeness).all():
        scores["closeness"] = closeness
    return Calibration(
        temperature=temperature,
        by="this training" if same else "a training without the validation split",
        images=len(labels),
        error_before=compute_calibration_error(before),
        error=compute_calibration_error(after),
        bins=after,
        rejections=tuple(measure_rejection(by, each, right) for by, each in scores.items()),
    )
