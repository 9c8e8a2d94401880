"""Describes an opened data set: its splits, its statistics and how many images each class has."""

from collections.abc import Mapping
from dataclasses import dataclass

from ktg.data.images import Images, join
from ktg.errors import SpecError
from ktg.graph import Data


@dataclass(frozen=True)
class Dataset:
    """What a search may see: the train and val splits.

    `mean` and `std` are per channel over the training images, of values in [0, 1]; `std` is never
    0. `fingerprint` is equal for two data sets iff images (as found), form, classes, labels, their
    weights and split are. `skipped` names the files left out because they cannot be read.
    `unlabelled` are images whose labels are all -1; `labelled_fingerprint` is that of the data
    without them, None where there are none.
    """

    classes: tuple[str, ...]
    train: Images
    val: Images
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    skipped: tuple[str, ...]
    unlabelled: Images | None = None
    labelled_fingerprint: str | None = None


@dataclass(frozen=True)
class Summary:
    """How many images each class has in each split (train, val, test); how many lack a label."""

    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    unlabelled: int | None = None


def merge(dataset: Dataset) -> Images:
    """Return train and val as one split, for the training after every choice is made."""
    return join(dataset.train, dataset.val)


def check_batch(spec: Data, images: int, path: str = "data.batch_size") -> None:
    """Raise SpecError at `path` if a batch is larger than the training split of so many images."""
    if spec.batch_size > images:
        problem = f"{spec.batch_size} is more than the {images} images of the training split"
        raise SpecError(path, f"{problem}; allowed: 1 to {images}")
