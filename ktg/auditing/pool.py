"""Gathers all images of a data set, of all splits: an audit looks at everything that is there."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ktg.data import Dataset, Images
from ktg.data.image_index import DecodeProgress
from ktg.data.images import join
from ktg.data.open import name_images, open_data, open_test
from ktg.data.undecoded import Rows
from ktg.errors import SpecError
from ktg.graph import FORMULAS, Data

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ImagePool:
    """N images with their names, splits and labels, first those of train, then val and test.

    `mean` and `std` are per channel, of the training images.
    """

    classes: tuple[str, ...]
    images: Images
    names: tuple[str, ...]
    splits: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def labels(self) -> Rows:
        """The label (N,) of each image, a number of its class."""
        return self.images.labels

    @property
    def counts(self) -> dict[str, int]:
        """How many images each split has."""
        return {split: self.splits.count(split) for split in SPLITS}


def pool_training(dataset: Dataset, most: int) -> ImagePool:
    """Return the training images of an opened data set, at most so many, without their names.

    Those whose labels are not used, of weight 0, are left out.
    """
    rows = np.sort(np.random.default_rng(0).permutation(dataset.train.used_rows)[:most])
    return ImagePool(
        classes=dataset.classes,
        images=dataset.train.take(rows),
        names=("",) * len(rows),
        splits=("train",) * len(rows),
        mean=dataset.mean,
        std=dataset.std,
    )


def gather(
    spec: Data,
    *,
    base: Path | None = None,
    progress: DecodeProgress | None = None,
    test: bool = True,
) -> ImagePool:
    """Return all images of a data set; `per_class` and `unlabelled` are ignored.

    test: whether those of the test split are read. Files that cannot be read are left out, and a
    warning names them: dirt is what is looked for.
    Raises SpecError for data drawn by a formula, and what `open_data` raises.
    """
    if spec.name in FORMULAS:
        problem = f"{spec.name} is drawn by a formula, so that there is nothing to audit"
        raise SpecError("data.name", f"{problem}; give a folder, an .npz or a known data set")
    spec = replace(spec, per_class=None, unlabelled=None, corrupt="skip")
    data = open_data(spec, base=base, progress=progress)
    parts = {"train": data.train, "val": data.val}
    if test:
        parts["test"] = open_test(spec, base=base, progress=progress)
    named = name_images(spec, base=base, test=test)
    return ImagePool(
        classes=data.classes,
        images=join(*parts.values()),
        names=tuple(name for split in parts for name in named[split]),
        splits=tuple(split for split, part in parts.items() for _ in range(len(part))),
        mean=data.mean,
        std=data.std,
    )
