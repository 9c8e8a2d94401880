"""Measures a trained model on labelled images, by the metrics of scikit-learn."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ktg.data.decode import Geometry
from ktg.errors import KtgError
from ktg.exporting.classifier import Classifier, Prediction
from ktg.exporting.labelled_images import LabelledFiles

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ClassScores:
    """One class against all others, each in [0, 1]; `support` is how many images it has.

    Precision is 0 where nothing was taken for the class. All are None for a class without images.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int


@dataclass(frozen=True)
class LabelledAnswer:
    """What a model says of one image, beside its label; `probability` is that of `predicted`."""

    file: str
    label: str
    predicted: str
    probability: float


@dataclass(frozen=True)
class Evaluated:
    """How well a model knows labelled images, which are at `place`.

    Accuracies, F1 and AUROC are in [0, 1], `loss` is the mean cross-entropy in nats. `macro_f1` is
    the mean F1 of the classes that have images or were predicted; `auroc` is one class against the
    rest, the mean over the classes, and None unless all have images. `confusion` counts images by
    label (row) and predicted class (column), in the order of `classes`. `unreadable` has, by file,
    why an image was left out.
    """

    place: str
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    loss: float
    auroc: float | None
    classes: Mapping[str, ClassScores]
    confusion: tuple[tuple[int, ...], ...]
    answers: tuple[LabelledAnswer, ...]
    unreadable: Mapping[str, str]

    @property
    def wrong(self) -> list[LabelledAnswer]:
        """The answers that are wrong, the surest first."""
        wrong = [answer for answer in self.answers if answer.label != answer.predicted]
        return sorted(wrong, key=lambda answer: -answer.probability)

    def to_json(self) -> dict[str, Any]:
        """Return everything but the right answers as plain data."""
        figures = ("accuracy", "balanced_accuracy", "macro_f1", "loss", "auroc")
        unreadable = [{"file": file, "error": why} for file, why in self.unreadable.items()]
        return {
            "place": self.place,
            "images": len(self.answers),
            **{name: getattr(self, name) for name in figures},
            "classes": {name: vars(scores) for name, scores in self.classes.items()},
            "confusion": [list(row) for row in self.confusion],
            "wrong": [vars(answer) for answer in self.wrong],
            "unreadable": unreadable,
        }


def evaluate(
    model: Classifier, images: LabelledFiles, batch_size: int, progress: Progress
) -> Evaluated:
    """Return how well a model knows labelled images. Only one batch of pixels is in memory.

    progress: called with (done, all) after each image. Raises KtgError where no image can be read.
    """
    probabilities = np.empty((len(images), len(model.classes)), np.float32)
    given = model.about.input
    geometry = Geometry(given.side, given.channels, given.bits)
    pictures = (images.open(row, geometry) for row in range(len(images)))
    unreadable: dict[int, str] = {}
    for row, answer in enumerate(model.stream(pictures, batch_size)):
        if isinstance(answer, Prediction):
            probabilities[row] = answer.probabilities
        else:
            unreadable[row] = str(answer)
        progress(row + 1, len(images))
    rows = np.setdiff1d(np.arange(len(images)), list(unreadable))
    if not len(rows):
        first = next(iter(unreadable))
        why = f"the first, {images.name(first)}, {unreadable[first]}"
        raise KtgError(f"{images.place}: none of {len(images)} images could be read; {why}")
    probabilities, labels = probabilities[rows], images.labels[rows]
    if not np.isfinite(probabilities).all():
        raise KtgError(f"{images.place}: the model gives probabilities that are not numbers")
    predicted = probabilities.argmax(axis=1)
    return Evaluated(
        place=images.place,
        **measure(labels, probabilities),
        classes=score_classes(labels, predicted, model.classes),
        confusion=count_confusions(labels, predicted, len(model.classes)),
        answers=tuple(
            LabelledAnswer(
                images.name(row), model.classes[label], model.classes[guess], float(each[guess])
            )
            for row, label, guess, each in zip(
                rows.tolist(), labels.tolist(), predicted.tolist(), probabilities, strict=True
            )
        ),
        unreadable={images.name(row): why for row, why in unreadable.items()},
    )


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
