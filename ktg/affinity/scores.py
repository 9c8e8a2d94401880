"""Lists the affinity scores: what each needs, which way is better, its source and its trap."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ktg.affinity import heads, linear, logme, maps, neighbours
from ktg.affinity.sample import Features, Sample
from ktg.errors import UserError, not_one_of
from ktg.graph.holes import Direction, ScoreName

Need = Literal[
    "positions",
    "two classes",
    "spread in a class",
    "a scale",
    "source_probs",
    "class_distance",
    "source_means",
]


class NotApplicableError(UserError):
    """A score that has no value for a source and a data set, and why."""


@dataclass(frozen=True)
class ScoreSpec:
    """A score: its intended direction, its inputs, its source, and what misleads in it."""

    function: Callable[[Sample], float]
    better: Direction
    needs: tuple[Need, ...]
    reference: str
    trap: str


_SCALE = "grows with the scale of the features: not comparable across architectures"
_UENO = "Ueno and Kondo"
_HEAD = "only sources whose head is kept have it"

SCORES: Mapping[ScoreName, ScoreSpec] = {
    "s1": ScoreSpec(
        maps.s1, "larger", (), _UENO, f"{_SCALE}; nearly S4, and S2 + S5/K on balanced classes"
    ),
    "s2": ScoreSpec(maps.s2, "larger", ("two classes",), _UENO, _SCALE),
    "s3": ScoreSpec(
        maps.s3, "smaller", ("positions",), _UENO, "grows with the square of the number of channels"
    ),
    "s4": ScoreSpec(maps.s4, "larger", (), _UENO, f"{_SCALE}; time grows with N^2"),
    "s5": ScoreSpec(
        maps.s5, "smaller", (), _UENO, f"{_SCALE}; where it was measured, larger was better"
    ),
    "s1_rms": ScoreSpec(
        maps.s1_rms, "larger", ("a scale",), _UENO, "grows with the number of components"
    ),
    "s2_rms": ScoreSpec(
        maps.s2_rms,
        "larger",
        ("two classes", "a scale"),
        _UENO,
        "grows with the number of components",
    ),
    "s4_rms": ScoreSpec(
        maps.s4_rms,
        "larger",
        ("a scale",),
        _UENO,
        "grows with the root of the number of components",
    ),
    "s5_rms": ScoreSpec(
        maps.s5_rms, "smaller", ("a scale",), _UENO, "grows with the number of components"
    ),
    "fisher": ScoreSpec(
        maps.fisher,
        "larger",
        ("two classes", "spread in a class"),
        "Fisher, 1936",
        "blind to correlation: two copies of a component count twice",
    ),
    "emd": ScoreSpec(
        heads.emd,
        "smaller",
        ("source_probs", "class_distance"),
        "Lu et al., 2017",
        f"{_HEAD}; as good as the distances between the names of classes",
    ),
    "emd_features": ScoreSpec(
        heads.emd_features,
        "smaller",
        ("source_means",),
        "Cui et al., CVPR 2018",
        "compares data sets, seen by one network: it does not compare networks",
    ),
    "logme": ScoreSpec(
        logme.logme,
        "larger",
        ("two classes",),
        "You et al., ICML 2021",
        "without intercept; the form copied most widely is wrong when N < D",
    ),
    "hscore": ScoreSpec(
        linear.hscore,
        "larger",
        ("two classes",),
        "Bao et al., ICIP 2019",
        "shrunk when N <= D; near K - 1 just above",
    ),
    "hscore_shrunk": ScoreSpec(
        linear.hscore_shrunk,
        "larger",
        ("two classes",),
        "Ibrahim et al., ECML PKDD 2022",
        "at most K - 1; the shrinkage depends on N",
    ),
    "gbc": ScoreSpec(
        neighbours.gbc,
        "larger",
        ("two classes",),
        "Pandy et al., CVPR 2022",
        "0 once all classes are far apart",
    ),
    "parc": ScoreSpec(
        neighbours.parc,
        "larger",
        ("two classes",),
        "Bolya et al., NeurIPS 2021",
        "time and memory grow with N^2",
    ),
    "leep": ScoreSpec(heads.leep, "larger", ("source_probs",), "Nguyen et al., ICML 2020", _HEAD),
    "nce": ScoreSpec(heads.nce, "larger", ("source_probs",), "Tran et al., ICCV 2019", _HEAD),
    "transrate": ScoreSpec(
        neighbours.transrate,
        "larger",
        ("two classes",),
        "Huang et al., ICML 2022",
        "changes with the scale",
    ),
    "knn": ScoreSpec(
        neighbours.knn,
        "larger",
        ("two classes",),
        "Renggli et al., CVPR 2022",
        "an image alone in its class is lost",
    ),
    "linear_probe": ScoreSpec(
        linear.linear_probe,
        "larger",
        ("two classes",),
        "Allen, Technometrics 1974",
        "the penalty is chosen on the same images",
    ),
}

_MISSING: Mapping[Need, tuple[Callable[[Sample], bool], str]] = {
    "positions": (
        lambda s: s.maps.shape[2:].numel() < 2,
        "needs feature maps with more than one position",
    ),
    "two classes": (lambda s: len(s.classes) < 2, "needs images of at least two classes"),
    "spread in a class": (
        lambda s: not s.moments.s5() > 0,
        "needs a class whose images differ from each other",
    ),
    "a scale": (lambda s: not s.moments.mean_square() > 0, "needs features that are not all zero"),
    "source_probs": (lambda s: s.source_probs is None, "needs a source with a head (source_probs)"),
    "class_distance": (
        lambda s: s.class_distance is None,
        "needs distances between class names (class_distance)",
    ),
    "source_means": (
        lambda s: s.source_means is None,
        "needs the mean features of the source's classes",
    ),
}


def score(
    name: str,
    features: Features,
    labels: Sequence[Hashable] | Features,
    *,
    source_probs: Features | None = None,
    class_distance: Features | None = None,
    source_means: Features | None = None,
    source_sizes: Features | None = None,
) -> float:
    """Return one score of features (N, C, H, W) or (N, D), numpy or torch, and labels (N,).

    Labels are any hashable values. Scores of vectors average maps over their positions.
    `source_probs` (N, S) are the softmax of the source's head, `class_distance` (S, K) the
    distances of its classes from the sorted labels, `source_means` (S, C) and `source_sizes` (S,)
    the mean features and sizes of its classes.
    Raises SpecError for an unknown name, NotApplicableError where the score has no value, DataError
    for unfit inputs.
    """
    given = {
        "source_probs": source_probs,
        "class_distance": class_distance,
        "source_means": source_means,
        "source_sizes": source_sizes,
    }
    return measure(name, Sample.of(features, labels, **given))


def measure(name: str, sample: Sample) -> float:
    """Return one score of a sample, which caches what scores share.

    Raises SpecError and NotApplicableError.
    """
    record = SCORES.get(name)  # type: ignore[call-overload]
    if record is None:
        raise not_one_of("score", name, "an affinity score", SCORES)
    for need in record.needs:
        lacks, reason = _MISSING[need]
        if lacks(sample):
            raise NotApplicableError(f"{name}: {reason}")
    value: float = record.function(sample)
    if not math.isfinite(value):
        raise NotApplicableError(f"{name}: is not a finite number on these features")
    return value
