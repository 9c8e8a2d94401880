"""Looks at a folder of images before any is decoded: classes, splits, sizes, what has no label."""

import statistics
from dataclasses import dataclass
from pathlib import Path

from ktg.data.imbalance import IMBALANCED, measure_imbalance, name_extremes
from ktg.data.label_table import find_tables
from ktg.data.locate import find_data
from ktg.data.open import remark, summarize
from ktg.data.walk import list_folders
from ktg.errors import DataError
from ktg.graph import Data
from ktg.graph.vocabulary import AUTO

HEADERS = 200  # images whose sides are read


@dataclass(frozen=True)
class FoundImages:
    """What a folder (or an .npz) holds.

    spec: the data as a space says them: where they are, the share to choose by, `unlabelled`, and
    that images which cannot be read are left out.
    counts: images of each class by split, in the order of `classes`. official: the splits that the
    folder has itself; the others are drawn from `train`. side: the median of the shorter sides in
    pixels. oblong: how many times as long the longer side is. unlabelled: how many images lie
    beside the classes without a label. notes: what is odd.
    """

    path: Path
    spec: Data
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    official: tuple[str, ...]
    side: int
    oblong: float
    unlabelled: int
    notes: tuple[str, ...]

    @property
    def train(self) -> int:
        """How many training images there are."""
        return sum(self.counts["train"])

    @property
    def per_class(self) -> float:
        """Training images of a class in the mean: 60 of 40, 60 and 80."""
        return self.train / len(self.classes)

    @property
    def imbalance(self) -> float:
        """How many times as many training images the largest class has as the smallest: 4.0."""
        return measure_imbalance(self.counts["train"])

    @property
    def is_imbalanced(self) -> bool:
        """Whether accuracy would hide the small classes."""
        return self.imbalance >= IMBALANCED

    @property
    def extremes(self) -> tuple[str, str]:
        """The largest and the smallest class, with their shares: `cat 70.0 %`, `dog 2.1 %`."""
        return name_extremes(self.classes, self.counts["train"])


def look_at_images(path: Path, labels: str | None = None) -> FoundImages:
    """Return what a folder or an .npz holds; names and some headers are read, no image is decoded.

    labels: a table of labels in it or beside it: see `data.labels`. Raises DataError for what could
    not be trained on: no image, one class, a class that is too small to be split.
    """
    if labels is None:
        check_not_empty(path)
    place = str(path.absolute())
    data = find_data(Data(path=place, labels=labels), None)
    more = count_unlabelled(place, labels)
    fraction = 0.2 if data.val is not None else choose_val_fraction(len(data.train.labels))
    # One image of thousands that cannot be read is no reason to end after minutes of work.
    spec = Data(
        path=place,
        labels=labels,
        val_fraction=fraction,
        unlabelled=(AUTO,) if more else None,
        corrupt="skip",
    )
    found = summarize(spec)
    if found is None:  # only of sets known by name
        raise DataError(f"{path}: is no folder of images")
    here = (("val", data.val), ("test", data.test))
    side, oblong = measure_sides(data.train.images)
    return FoundImages(
        path=path,
        spec=spec,
        classes=found.classes,
        counts=dict(found.counts),
        official=tuple(split for split, part in here if part is not None),
        side=side,
        oblong=oblong,
        unlabelled=more,
        notes=tuple(remark(spec)),
    )


def choose_val_fraction(images: int) -> float:
    """Return the share of the training images to choose by: a fifth, and more of few images.

    Some hundred are wanted, because of ten images one is ten points; the last training sees them
    all.

    >>> [choose_val_fraction(images) for images in (75, 300, 5000)]
    [0.4, 0.35, 0.2]
    """
    return min(0.4, max(0.2, round(20 * 100 / images) / 20))


def check_not_empty(path: Path) -> None:
    """Raise DataError for a path where nothing is, or a folder without classes and tables."""
    if not path.exists():
        raise DataError(f"{path}: there is no such folder")
    if path.is_dir() and not list_folders(path) and not find_tables(path):
        holds = "holds no folder" if any(path.iterdir()) else "is empty"
        allowed = (
            "put the images of each class into a folder of its own, such as cat/ and dog/, or a "
            "table of their labels beside them, labels.csv"
        )
        raise DataError(f"{path}: {holds}; {allowed}")


def count_unlabelled(place: str, labels: str | None = None) -> int:
    """Return how many images in the folder of a data set are in no split: `unlabelled: auto`."""
    try:
        found = summarize(Data(path=place, labels=labels, unlabelled=(AUTO,)))
    except DataError:  # there are none
        return 0
    return (found and found.unlabelled) or 0


def measure_sides(images: object) -> tuple[int, float]:
    """Return the medians, over some images, of the shorter side and of the longer one over it.

    Of 160 x 200 pixels: 160 and 1.25. The images are evenly picked; those that cannot be read are
    left out.
    """
    count = len(images)  # type: ignore[arg-type]
    rows = range(0, count, max(1, count // HEADERS))
    sides = [found for row in rows if (found := _read_sides(images, row))]
    if not sides:
        return 224, 1.0
    ratio = statistics.median(high / low for low, high in sides)
    return round(statistics.median(low for low, _ in sides)), ratio


def _read_sides(images: object, row: int) -> tuple[int, int] | None:
    try:
        low, high = images.header(row).sides  # type: ignore[attr-defined]
    except Exception:  # of many kinds: `notes` name the files that cannot be read
        return None
    return low, high
