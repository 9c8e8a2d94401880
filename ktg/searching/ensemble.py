"""Chooses a greedy ensemble among classifiers, by what they say of a validation split.

Caruana, Niculescu-Mizil, Crew and Ksikes, "Ensemble selection from libraries of models", ICML 2004:
begin with the best few, then again and again add the classifier that helps the mean of
probabilities most; one that is added twice counts twice. All is a pure function of arrays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ktg.class_scores import rank_areas
from ktg.graph.space import MetricName

MOST_STARTERS = 5  # that an ensemble may begin with, as in the paper
MOST_CHOICES = 20  # of an ensemble, repetitions included
PATIENCE = 5
_LOSS: MetricName = "loss"
_DIGITS = 6
_LEAST = 1e-7  # probability whose logarithm is taken of 0: that of a rounded half-precision number

Answers = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Score = tuple[float, float]


@dataclass(frozen=True)
class CrossFit:
    """What an ensemble and a single classifier say of images that did not choose them.

    Both are chosen on one half of the images and asked on the other, and the other way round.
    pooled, single: probabilities (N, C).
    """

    pooled: Answers
    single: Answers


def score_answers(metric: MetricName, labels: Labels, answers: Answers) -> float:
    """Return how good probabilities (N, C) are by a metric, of which higher is better.

    A loss is negated. AUROC is 0 where only one class has images.

    >>> sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4]], np.float32)
    >>> round(score_answers("accuracy", np.array([0, 0, 1]), sure), 4)
    0.6667
    >>> score_answers("balanced_accuracy", np.array([0, 0, 1]), sure)
    0.5
    """
    # Not scikit-learn's functions: an ensemble of 50 trainings asks some 3,000 times, and a report
    # waits for it, which takes 2 to 7 CPU seconds with theirs and 0.05 to 0.6 with these.
    if metric == "loss":
        own = answers[np.arange(len(labels)), labels]
        return float(np.log(np.maximum(own, _LEAST)).mean())
    if metric in ("accuracy", "balanced_accuracy"):
        right = answers.argmax(axis=1) == labels
        if metric == "accuracy":
            return float(right.mean())
        sizes = np.bincount(labels)
        recalls = np.bincount(labels, right)[sizes > 0] / sizes[sizes > 0]
        return float(recalls.mean())
    if metric == "macro_f1":
        return _score_macro_f1(labels, answers)
    return rank_areas(labels, answers) or 0.0


def choose_members(metric: MetricName, labels: Labels, library: Answers) -> list[int]:
    """Return the places of the chosen classifiers in a library (M, N, C), repetitions included.

    The first are the best few, as many as do best together; each further one is the best addition.
    What was best of all stages is returned; the last PATIENCE of these may be no better. Of equals
    by the metric the lower loss wins, then the lower place.

    Two that err on different images, and a third that knows nothing:

    >>> a, b, c = [[0.9, 0.1], [0.6, 0.4]], [[0.4, 0.6], [0.1, 0.9]], [[0.5, 0.5], [0.5, 0.5]]
    >>> sorted(choose_members("accuracy", np.array([0, 1]), np.array([a, b, c], np.float32)))
    [0, 1]
    """
    alone = [_judge(metric, labels, answers) for answers in library]
    order = sorted(range(len(library)), key=lambda place: alone[place], reverse=True)
    starts = [order[:length] for length in range(1, min(MOST_STARTERS, len(order)) + 1)]
    chosen = max(starts, key=lambda one: (_judge(metric, labels, mix(library, one)), -len(one)))
    best, found = _judge(metric, labels, mix(library, chosen)), list(chosen)
    for stage, score in _grow(metric, labels, library, chosen, order):
        if score > best:
            best, found = score, stage
        elif len(stage) - len(found) >= PATIENCE:
            break
    return found


def cross_fit(metric: MetricName, labels: Labels, library: Answers) -> CrossFit:
    """Return what an ensemble of the library (M, N, C), and its best single one, are worth.

    Images are dealt to two halves, class by class in their order. A class of one image is in the
    first half.
    """
    half = split_in_half(labels)
    pooled, single = np.empty_like(library[0]), np.empty_like(library[0])
    for side in (False, True):
        seen, unseen = half == side, half != side
        choosing, own = library[:, seen], labels[seen]
        pooled[unseen] = mix(library, choose_members(metric, own, choosing))[unseen]
        best = max(range(len(library)), key=lambda m: (_judge(metric, own, choosing[m]), -m))
        single[unseen] = library[best][unseen]
    return CrossFit(pooled, single)


def split_in_half(labels: Labels) -> npt.NDArray[np.bool_]:
    """Return whether each image is in the second half: every other one of each class.

    >>> split_in_half(np.array([0, 1, 0, 1, 1])).astype(int).tolist()
    [0, 0, 1, 1, 0]
    """
    second = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        second[np.flatnonzero(labels == label)[1::2]] = True
    return second


def mix(library: Answers, chosen: list[int]) -> Answers:
    """Return the mean probabilities (N, C) of the chosen classifiers; repetitions count."""
    counts = np.bincount(chosen, minlength=len(library)).astype(np.float32)
    places = np.flatnonzero(counts)
    weights = counts[places] / len(chosen)
    return np.asarray(np.tensordot(weights, library[places], axes=1), np.float32)


def _grow(
    metric: MetricName, labels: Labels, library: Answers, chosen: list[int], order: list[int]
) -> Iterator[tuple[list[int], Score]]:
    """Yield the ensemble and its score after each further choice."""
    stage, total = list(chosen), mix(library, chosen) * len(chosen)
    while len(stage) < MOST_CHOICES:
        length = len(stage) + 1
        scores = {one: _judge(metric, labels, (total + library[one]) / length) for one in order}
        added = max(order, key=lambda one: (scores[one], -one))
        stage, total = [*stage, added], total + library[added]
        yield stage, scores[added]


def _judge(metric: MetricName, labels: Labels, answers: Answers) -> Score:
    """Return the score of probabilities, and the negative loss, which decides between equals.

    Both are rounded: what arithmetic alone adds is no gain.
    """
    score, loss = (score_answers(each, labels, answers) for each in (metric, _LOSS))
    return round(score, _DIGITS), round(loss, _DIGITS)


def _score_macro_f1(labels: Labels, answers: Answers) -> float:
    """Return the mean F1 over the classes that some image has or is taken for."""
    said, classes = answers.argmax(axis=1), answers.shape[1]
    right = np.bincount(labels[said == labels], minlength=classes)
    both = np.bincount(labels, minlength=classes) + np.bincount(said, minlength=classes)
    return float((2 * right[both > 0] / both[both > 0]).mean())
