"""Finds labelled images to measure a model on: one folder per class, an .npz, or a split of one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

import numpy as np

from ktg.data.array_table import relabel_npz
from ktg.data.decode import Geometry
from ktg.data.folder import read_folder
from ktg.data.found_data import FoundData, LabelledImages
from ktg.data.label_table import read_table_folder
from ktg.data.npz import read_npz
from ktg.data.split_folders import find_any_splits, find_splits, group_by_split, list_classes
from ktg.data.undecoded import ImageFiles, Rows
from ktg.errors import DataError, did_you_mean, did_you_mean_path, join_names, not_one_of
from ktg.exporting.pixels import Picture

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class LabelledFiles:
    """Images with a label each, an index (N,) into the classes of a model.

    `place` is where they are, for people. `root` is the folder or the .npz that they are in, of
    which `split` is one part; None for all of it, as of a folder that is a split. `left_out` counts
    by class the images of classes that were not wanted.
    """

    place: str
    found: LabelledImages
    labels: Rows
    root: Path
    split: str | None = None
    left_out: tuple[tuple[str, int], ...] = ()

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

    def is_part_of(self, trained: Path) -> bool:
        """Return whether a model that was trained on the data at `trained` has used these images.

        That is to learn, or to choose by: the test split of these data was used for neither.
        """
        own, other = self.root.resolve(), trained.resolve()
        if own == other:
            return self.split != "test"
        if not own.is_relative_to(other):
            return False
        try:
            splits = find_splits(other, str(other))
        except DataError:  # a table says which split an image is in
            splits = {}
        if not splits:
            first = own.relative_to(other).parts[0]
            return first not in group_by_split(other).get("test", [])
        used = [other / place for kind, place in splits.items() if kind != "test"]
        return any(own.is_relative_to(each) or each.is_relative_to(own) for each in used)

    def _path(self, row: int) -> Path:
        return self.root / self.found.images.name(row)


@dataclass(frozen=True)
class _Part:
    """Labelled images as they were found, with the names of their classes."""

    place: str
    root: Path
    split: str | None
    classes: tuple[str, ...]
    found: LabelledImages


def find_labelled(
    path: str | Path,
    classes: Sequence[str],
    split: str | None = None,
    *,
    labels: str | None = None,
    leave_out: bool = False,
) -> LabelledFiles:
    """Return the labelled images of a folder or an .npz, matched to a model's classes by name.

    split: train, val or test of data that have these; default: test. labels: a table of labels: see
    `data.labels`. leave_out: whether images of classes that the model has not are left out. Not all
    classes need be there.
    Raises UserError for data that are not understood, and for a class that the model has not.
    """
    if split is not None and split not in SPLITS:
        raise not_one_of("--split", split, "a split", SPLITS)
    path = Path(path)
    if path.is_dir():
        part = _find_in_folder(path, split, labels, classes)
    elif not path.exists():
        raise DataError(f"{path}: does not exist.{did_you_mean_path(path, ('.npz',))}")
    elif path.suffix.lower() != ".npz":
        raise DataError(f"{path}: is neither a folder nor an .npz file")
    else:
        part = _find_in_npz(path, split, labels)
    return _match(part, classes, leave_out=leave_out)


def _find_in_folder(
    root: Path, split: str | None, labels: str | None, classes: Sequence[str]
) -> _Part:
    table = read_table_folder(root, labels, str(root))
    if table is not None:
        return _choose_part(table, split, root)
    present = _find_splits(root, classes)
    place = root / present[_choose(split, list(present), str(root))] if present else root
    if not present and split is not None:
        raise DataError(f"{root}: has no {split}/ with class folders; leave out --split")
    data = read_folder(place, str(place))
    if not data.classes:
        raise DataError(f"{place}: has no folder for each class, named like it, with its images")
    return _Part(str(place), place, None, data.classes, data.train)


def _find_splits(root: Path, classes: Sequence[str]) -> dict[str, str]:
    """Return the folder of each split that is there, as training finds them.

    Training needs train/, measuring does not: of folders that are all named as splits, and not as
    classes of the model, those that hold folders are splits.
    """
    try:
        found = find_splits(root, str(root))
    except DataError:
        return find_any_splits(root, str(root))  # of what is no split `read_folder` says why
    kinds = group_by_split(root)
    named = {name for names in kinds.values() for name in names}
    if found or named != {*list_classes(root)} or named & {*classes}:
        return found
    return find_any_splits(root, str(root))


def _find_in_npz(path: Path, split: str | None, labels: str | None) -> _Part:
    data = read_npz(path, str(path))
    data = data if labels is None else relabel_npz(data, path, labels)
    return _choose_part(data, split, path)


def _choose_part(data: FoundData, split: str | None, root: Path) -> _Part:
    """Return the split of a data set that is measured; all of one that has no splits."""
    parts = _list_parts(data)
    if len(parts) == 1 and split is None:
        return _Part(str(root), root, None, data.classes, data.train)
    chosen = _choose(split, list(parts), str(root))
    return _Part(f"{root} ({chosen})", root, chosen, data.classes, parts[chosen])


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


def _match(part: _Part, classes: Sequence[str], *, leave_out: bool) -> LabelledFiles:
    """Return the images with their labels as indices into the model's classes."""
    # In one Unicode form: a Mac writes e and its accent apart.
    known = {normalize("NFC", name): index for index, name in enumerate(classes)}
    numbers = np.array([known.get(normalize("NFC", name), -1) for name in part.classes])
    labels = numbers[part.found.labels].astype(np.int64)
    rows = np.flatnonzero(labels >= 0)
    # Of an .npz all classes have names, even those without an image in this split.
    present, counts = np.unique(part.found.labels[labels < 0], return_counts=True)
    unknown = [part.classes[label] for label in present.tolist()]
    if unknown and not (leave_out and len(rows)):
        raise DataError(
            f"{part.place}: has classes that the model does not know: {join_names(unknown)}; it "
            f"knows {join_names(classes)}.{did_you_mean(unknown[0], classes)}"
        )
    found = part.found.take(rows) if unknown else part.found
    left_out = tuple(zip(unknown, counts.tolist(), strict=True))
    return LabelledFiles(part.place, found, labels[rows], part.root, part.split, left_out)
