"""Describes a data set before decoding: classes, and labelled images per official split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ktg.data.split import count_per_class
from ktg.data.undecoded import ImageFiles, Rows, UndecodedImages
from ktg.errors import DataError, did_you_mean, join_names

# Of labels, (N,).
Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LabelledImages:
    """Undecoded images with one label each, an index into the classes of the data set.

    `weights` (N,) say how much each label counts, None where all count alike. `groups` (N,) are
    numbers: images of one are on the same side of every split; None where each is by itself.
    """

    images: UndecodedImages
    labels: Rows
    weights: Weights | None = None
    groups: Rows | None = None

    def take(self, rows: Rows) -> "LabelledImages":
        """Return these rows."""
        weights = None if self.weights is None else self.weights[rows]
        groups = None if self.groups is None else self.groups[rows]
        return LabelledImages(self.images.take(rows), self.labels[rows], weights, groups)

    @property
    def used_labels(self) -> Rows:
        """The labels without those of weight 0."""
        return self.labels if self.weights is None else self.labels[self.weights > 0]


@dataclass(frozen=True)
class FoundData:
    """A data set as it was found. `title` begins every message about it.

    `val` and `test` are None where the data have no such split. `test` is a function, so that
    looking at a data set reads nothing of the test split. `origins` are the labels that the classes
    had before others were left out.
    """

    title: str
    classes: tuple[str, ...]
    train: LabelledImages
    val: LabelledImages | None
    test: Callable[[], LabelledImages] | None
    origins: tuple[int, ...] | None = None

    def original(self, labels: Rows) -> Rows:
        """Return the labels to split by, so that a class is split alike when others are left out.

        A network trained on some classes has then seen no test image of the whole data set.
        """
        return labels if self.origins is None else np.asarray(self.origins, dtype=np.int64)[labels]


def check_classes(data: FoundData) -> None:
    """Raise DataError unless there are two classes, each with images in every official split."""
    if len(data.classes) < 2:
        found = ", ".join(data.classes) or "none"
        raise DataError(
            f"{data.title}: classes found: {found}; at least two are needed to tell apart"
        )
    if data.val is not None:
        check_present(data, data.val.labels, "val")
    needed = 1 + (data.val is None) + (data.test is None)
    check_present(data, data.train.used_labels, "train", needed)


def check_present(data: FoundData, labels: Rows, split: str, needed: int = 1) -> None:
    """Raise DataError unless every class has at least `needed` images in the split.

    A class of hardly any image is often a misspelt label, so its file is named.
    """
    counts = dict(zip(data.classes, count_per_class(labels, len(data.classes)), strict=True))
    enough = [name for name, count in counts.items() if count >= needed]
    few = [
        f"{name} ({count}{name_only_file(data, name, enough)})"
        for name, count in counts.items()
        if count < needed
    ]
    if few:
        why = "" if needed == 1 else ", one for each split that is made of them"
        if data.train.weights is not None:
            why += " (labels of weight 0 do not count)"
        images = "image" if needed == 1 else "images"
        raise DataError(
            f"{data.title}: every class needs at least {needed} {images} in the {split} split"
            f"{why}; too few: {join_names(few)}"
        )


def name_only_file(data: FoundData, label: str, others: Sequence[str]) -> str:
    """Return ": FILE" of the only training image of a class, and which class may be meant."""
    rows, files = data.train.labels == data.classes.index(label), data.train.images
    if rows.sum() != 1 or not isinstance(files, ImageFiles):
        return ""
    meant = "" if label.isdecimal() else did_you_mean(label, others)
    return f": {Path(files.names[int(rows.argmax())])}{meant and '.' + meant}"


def drop_even_weights(data: FoundData) -> FoundData:
    """Return the data without weights where all labels of train and val weigh alike.

    Only their proportions count, so that the data are then the same as without weights.
    """
    parts = [part for part in (data.train, data.val) if part is not None]
    given = [part.weights if part.weights is not None else np.ones(1) for part in parts]
    found = np.unique(np.concatenate(given))
    if len(found) > 1 or not found.all():
        return data
    train, *val = (replace(part, weights=None) for part in parts)
    return replace(data, train=train, val=val[0] if val else None)


def as_labels(values: npt.ArrayLike) -> Rows:
    """Return whole numbers as an int64 array (N,)."""
    return np.asarray(values, dtype=np.int64).reshape(-1)
