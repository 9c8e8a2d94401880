"""Measures a trained model on labelled images, by the metrics of scikit-learn."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ktg.calibration import compute_calibration_error, measure_reliability
from ktg.class_scores import ClassScores, count_confusions, measure, score_classes
from ktg.errors import KtgError
from ktg.exporting.classifier import Classifier, Prediction
from ktg.exporting.labelled_images import LabelledFiles

Progress = Callable[[int, int], None]


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

    Accuracies, F1 and AUROC are in [0, 1], `loss` is the mean cross-entropy in nats, and
    `calibration_error` the expected one of 10 bins, in [0, 1]. `macro_f1` is
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
    calibration_error: float
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
        figures = (
            "accuracy",
            "balanced_accuracy",
            "macro_f1",
            "loss",
            "calibration_error",
            "auroc",
        )
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
    geometry = model.about.input.geometry
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
        calibration_error=compute_calibration_error(measure_reliability(probabilities, labels)),
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
