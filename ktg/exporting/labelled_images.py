"""Finds labelled images to measure a model on: one folder per class, an .npz, or a split of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ktg.data.decode import Geometry
from ktg.data.folder import read_folder
from ktg.data.found_data import FoundData, LabelledImages
from ktg.data.label_table import read_table_folder
from ktg.data.npz import read_npz
from ktg.data.split_folders import find_splits
from ktg.data.undecoded import ImageFiles, Rows
from ktg.errors import DataError, did_you_mean, did_you_mean_path, join_names, not_one_of
from ktg.exporting.pixels import Picture

# What users call each split in folders.
SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


@dataclass(frozen=True)
class LabelledFiles:
    """Images with a label each, an index (N,) into the classes of a model.

    `place` is where they are, for people.
    """

    place: str
    found: LabelledImages
    labels: Rows

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, row: int) -> str:
        """Return the path of an image, or its number in an array."""
        images = self.found.images
        return str(self._path(row)) if isinstance(images, ImageFiles) else images.name(row)

    def open(self, row: int, geometry: Geometry) -> Picture:
        """Return an image as a classifier takes it: its file, or its pixels from an array."""
        images = self.found.images
        return self._path(row) if isinstance(images, ImageFiles) else images.open(row, geometry)[1]

    def _path(self, row: int) -> Path:
        return Path(self.place) / self.found.images.name(row)


def find_labelled(
    path: str | Path, classes: Sequence[str], split: str | None = None
) -> LabelledFiles:
    """Return the labelled images of a folder or an .npz, matched to a model's classes by name.

    split: train, val or test of data that have these; default: test. Not all classes need be there.
    Raises UserError for data that are not understood, and for a class that the model has not.
    """
    if split is not None and split not in SPLITS:
        raise not_one_of("--split", split, "a split", SPLITS)
    path = Path(path)
    if path.is_dir():
        place, names, found = _find_in_folder(path, split)
    elif not path.exists():
        raise DataError(f"{path}: does not exist.{did_you_mean_path(path, ('.npz',))}")
    elif path.suffix.lower() != ".npz":
        raise DataError(f"{path}: is neither a folder nor an .npz file")
    else:
        place, names, found = _find_in_npz(path, split)
    return LabelledFiles(place, found, _match(place, names, found.labels, classes))


def _find_in_folder(root: Path, split: str | None) -> tuple[str, tuple[str, ...], LabelledImages]:
    table = read_table_folder(root, None, str(root))
    if table is not None:
        return str(root), table.classes, _pick(table, split, str(root))
    present = _find_splits(root)
    place = root / present[_choose(split, list(present), str(root))] if present else root
    if not present and split is not None:
        raise DataError(f"{root}: has no {split}/ with class folders; leave out --split")
    data = read_folder(place, str(place))
    if not data.classes:
        raise DataError(f"{place}: has no folder for each class, named like it, with its images")
    return str(place), data.classes, data.train


def _find_splits(root: Path) -> dict[str, str]:
    """Return the folder of each split that is there, as training finds them."""
    try:
        return find_splits(root, str(root))
    except DataError:  # training needs train/, measuring does not; `read_folder` says what is wrong
        return {
            name: folder
            for name, folders in SPLITS.items()
            for folder in folders
            if _has_folders(root / folder)
        }


def _find_in_npz(path: Path, split: str | None) -> tuple[str, tuple[str, ...], LabelledImages]:
    data = read_npz(path, str(path))
    if data.val is None and data.test is None and split is None:
        return str(path), data.classes, data.train
    parts = _list_parts(data)
    chosen = _choose(split, list(parts), str(path))
    return f"{path} ({chosen})", data.classes, parts[chosen]


def _pick(data: FoundData, split: str | None, place: str) -> LabelledImages:
    """Return a split of a data set; all of one that has no splits."""
    parts = _list_parts(data)
    whole = len(parts) == 1 and split is None
    return data.train if whole else parts[_choose(split, list(parts), place)]


def _list_parts(data: FoundData) -> dict[str, LabelledImages]:
    parts = {"train": data.train}
    parts |= {"val": data.val} if data.val is not None else {}
    return parts | ({"test": data.test()} if data.test is not None else {})


def _choose(split: str | None, present: Sequence[str], place: str) -> str:
    """Return the split to measure on."""
    held = join_names(present)
    if split is None and "test" not in present:
        raise DataError(f"{place}: has no test split; choose one with --split: {held}")
    if split is not None and split not in present:
        raise DataError(f"{place}: has no {split} split; it has {held}")
    return split or "test"


def _match(place: str, names: Sequence[str], labels: Rows, classes: Sequence[str]) -> Rows:
    """Return the labels as indices into the model's classes."""
    # Of an .npz all classes have names, even those without an image in this split.
    present = np.unique(labels).tolist()
    known = {name: index for index, name in enumerate(classes)}
    unknown = [names[label] for label in present if names[label] not in known]
    if unknown:
        raise DataError(
            f"{place}: has classes that the model does not know: {join_names(unknown)}; it knows "
            f"{join_names(classes)}.{did_you_mean(unknown[0], classes)}"
        )
    return np.array([known.get(name, -1) for name in names], dtype=np.int64)[labels]


def _has_folders(folder: Path) -> bool:
    return folder.is_dir() and any(
        entry.is_dir() and not entry.name.startswith(".") for entry in folder.iterdir()
    )
