"""Measures predictions by the metrics of scikit-learn, over all classes and for each one."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[Any]


@dataclass(frozen=True)
class ClassScores:
    """One class against all others, each in [0, 1]; `support` is how many images it has.

    Precision is 0 where nothing was taken for the class. All are None for a class without images.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


def measure(labels: Labels, probabilities: Probabilities) -> dict[str, Any]:
    """Return the metrics over all classes, of labels (N,) and probabilities (N, C), by name."""
    from sklearn import metrics

    predicted = probabilities.argmax(axis=1)
    with warnings.catch_warnings():
        # That only some of the classes have images here, or only one: it is measured on those.
        warnings.simplefilter("ignore", UserWarning)
        balanced = metrics.balanced_accuracy_score(labels, predicted)
    every = np.arange(probabilities.shape[1])
    return {
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "balanced_accuracy": float(balanced),
        "macro_f1": float(metrics.f1_score(labels, predicted, average="macro", zero_division=0)),
        "loss": float(metrics.log_loss(labels, probabilities, labels=every)),
        "auroc": _compute_auroc(labels, probabilities),
    }


def _compute_auroc(labels: Labels, probabilities: Probabilities) -> float | None:
    from sklearn.metrics import roc_auc_score

    classes = probabilities.shape[1]
    if len(np.unique(labels)) < classes:
        return None
    scores = probabilities[:, 1] if classes == 2 else probabilities
    return float(roc_auc_score(labels, scores, multi_class="ovr", average="macro"))


def rank_areas(labels: Labels, scores: Probabilities) -> float | None:
    """Return the mean area under the curve of each class that has images, against all others.

    labels: (N,); scores: (N, C). The area is the share of pairs, of an image of the class and one
    of another, of which the first has the higher score (Mann and Whitney, 1947): one sort for each
    class, where scikit-learn's own function takes ten times as long. None for a single class.

    >>> rank_areas(np.array([0, 0, 1]), np.array([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]]))
    0.5
    """
    from scipy.stats import rankdata

    classes = np.unique(labels)
    if len(classes) < 2:
        return None
    own = labels[:, None] == classes
    count = own.sum(axis=0)
    smaller = (rankdata(scores[:, classes], axis=0) * own).sum(axis=0) - count * (count + 1) / 2
    return float((smaller / (count * (len(labels) - count))).mean())


def score_classes(
    labels: Labels, predicted: Labels, classes: Sequence[str]
) -> dict[str, ClassScores]:
    """Return the scores of every class by its name."""
    from sklearn.metrics import precision_recall_fscore_support

    columns = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(len(classes)), zero_division=0
    )
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return {
        name: ClassScores(p, r, f, int(support)) if support else ClassScores(None, None, None, 0)
        for name, (p, r, f, support) in zip(classes, rows, strict=True)
    }


def count_confusions(
    labels: Labels, predicted: Labels, classes: int
) -> tuple[tuple[int, ...], ...]:
    """Return how many images of each label (row) were taken for each class (column)."""
    from sklearn.metrics import confusion_matrix

    table = confusion_matrix(labels, predicted, labels=np.arange(classes))
    return tuple(tuple(row) for row in table.tolist())
