"""What a data set offers before anything is decoded: classes, and labelled pictures per official split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ktg.data.pictures import Pictures, Rows
from ktg.data.split import per_class
from ktg.errors import DataError, SpecError
from ktg.graph import Data


@dataclass(frozen=True)
class Part:
    """Pictures with one label each, an index into the classes of the source."""

    pictures: Pictures
    labels: Rows

    def take(self, rows: Rows) -> "Part":
        """Return these rows."""
        return Part(self.pictures.take(rows), self.labels[rows])


@dataclass(frozen=True)
class Source:
    """A data set as found. `title` begins every message about it.

    `val` and `test` are None where the data has no such split. `test` is called by those only who
    may see it. `origins` are the labels that the classes had before others were left out.
    """

    title: str
    classes: tuple[str, ...]
    train: Part
    val: Part | None
    test: Callable[[], Part] | None
    origins: tuple[int, ...] | None = None

    def original(self, labels: Rows) -> Rows:
        """Return the labels to split by: each class is split alike whether or not others are left out.

        So a network trained on some of the classes has not seen a test image of all of them.
        """
        return labels if self.origins is None else np.asarray(self.origins, dtype=np.int64)[labels]


def check_classes(source: Source) -> None:
    """Raise DataError for fewer than two classes, and for a class of the official splits without images."""
    if len(source.classes) < 2:
        found = ", ".join(source.classes) or "none"
        raise DataError(
            f"{source.title}: classes found: {found}; at least two are needed to tell apart"
        )
    if source.val is not None:
        check_present(source, source.val.labels, "val")
    needed = 1 + (source.val is None) + (source.test is None)
    check_present(source, source.train.labels, "train", needed)


def check_present(source: Source, labels: Rows, split: str, needed: int = 1) -> None:
    """Raise DataError unless every class has at least `needed` images in the split."""
    counts = per_class(labels, len(source.classes))
    few = [
        f"{name} ({count})"
        for name, count in zip(source.classes, counts, strict=True)
        if count < needed
    ]
    if few:
        why = "" if needed == 1 else ", one for each split that is made of them"
        images = "image" if needed == 1 else "images"
        raise DataError(
            f"{source.title}: every class needs at least {needed} {images} in the {split} split{why}; "
            f"too few: {listed(few)}"
        )


def check_batch(spec: Data, images: int) -> None:
    """Raise SpecError if a batch is larger than the training split of so many images."""
    if spec.batch_size > images:
        problem = f"{spec.batch_size} is more than the {images} images of the training split"
        raise SpecError("data.batch_size", f"{problem}; allowed: 1 to {images}")


def listed(names: Sequence[str], most: int = 20) -> str:
    """Return the names with commas, at most `most` of them and then how many more."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def as_labels(values: npt.ArrayLike) -> Rows:
    """Return whole numbers as an int64 array (N,)."""
    return np.asarray(values, dtype=np.int64).reshape(-1)
