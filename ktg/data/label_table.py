"""Reads data sets whose labels stand in a table beside the images, as Kaggle and Hugging Face do.

A table is a CSV file (also with semicolons or tabs) or JSON lines with a column of files, a column
of labels and, if wanted, one of splits and one of weights, which say how much a label counts.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ktg.data.found_data import FoundData, LabelledImages, as_labels, drop_even_weights
from ktg.data.image_names import Belonging, ImageNames
from ktg.data.label_lines import Line, read_lines
from ktg.data.split_folders import is_place, is_unlabelled, name_split
from ktg.data.undecoded import ImageFiles
from ktg.data.walk import list_folders, walk
from ktg.errors import DataError, did_you_mean, did_you_mean_path, join_names, show

UNDERSTOOD = (
    "understood are a folder for each class (cat/, dog/), train/ and test/ (and val/) of such "
    "folders, and a table of labels beside the images (labels.csv, train.csv or metadata.csv, or "
    "what data.labels names) with a column of files and a column of labels"
)
ENDINGS = (".csv", ".tsv", ".jsonl")
_ANY_SPLIT = ("metadata", "labels", "annotations")
_OF_LABELS = re.compile(r"[_ -]?(labels?|annotations?)$", re.IGNORECASE)


@dataclass(frozen=True)
class _Table:
    """A table of labels; `split` is that of all its lines, None where each may have its own.

    `base` is the folder, below the images' own, in which its files are looked for first.
    """

    place: Path
    split: str | None
    base: str = "."

    def at(self, line: Line) -> str:
        return f"{self.place.name}: line {line.number}"


@dataclass(frozen=True)
class _Said:
    """What a table says of an image: its label, and how much that counts."""

    label: str
    weight: float


def find_tables(root: Path) -> list[_Table]:
    """Return the tables of labels in a folder of images; none where its folders are classes.

    Such folders win over tables: a train.csv beside cat/ and dog/ says nothing.
    """
    folders = list_folders(root)
    if sum(_is_class(root, name) for name in folders) > 1:
        return []
    found = [*_tables_in(root, root, None)]
    for name in folders:
        if split := name_split(name):
            found += [each for each in _tables_in(root, root / name, split) if each.split == split]
    # One without labels, as of the test images of a competition, is none.
    return [each for each in found if each.split in (None, "train") or _has_labels(each.place)]


def list_usual_tables(root: Path) -> list[Path]:
    """Return the tables in a folder that are named as ones of labels, whatever lies beside them."""
    return [table.place for table in _tables_in(root, root, None)]


def read_table_folder(root: Path, labels: str | None, title: str) -> FoundData | None:
    """Return the data set in `root` with the labels of a table; None where there is no table.

    labels: the table, relative to `root` or beside it; default: what `find_tables` finds. Only
    one that is named here weighs labels: of a table that came with images a column `weight` may
    be in grams.
    Raises DataError that names file and line for a line without a file or label that can be used.
    """
    tables = find_tables(root) if labels is None else [find_named(root, labels, title)]
    if not tables:
        return None
    splits = [each.split or "train" for each in tables]
    twice = next((each for each in tables if splits.count(each.split or "train") > 1), None)
    if twice is not None:
        both = join_names([each.place.name for each in tables])
        raise DataError(f"{title}: several tables of labels ({both}); name one with data.labels")
    lines = [(table, line) for table in tables for line in read_lines(table.place, title)]
    images = ImageNames(root, (line.file for _, line in lines))
    parts: dict[str, dict[str, _Said]] = {"train": {}, "val": {}, "test": {}}
    seen: dict[str, tuple[str, _Said, str]] = {}
    for table, line in lines:
        where = f"{title}: {table.at(line)}"
        split = _name_split_of(line, table, where)
        file = images.find(line.file, table.base, where, Belonging(split, bool(line.split)))
        said = _Said(line.label, line.read_weight(where) if labels is not None else 1.0)
        first = seen.setdefault(images.places[file], (table.at(line), said, split))
        if first[1:] != (said, split):
            problem = f"{line.file} has another label, split or weight in {first[0]}"
            raise DataError(f"{where}: {problem}")
        if not line.label:
            raise DataError(f"{where}: {line.file} has no label; remove the line or label it")
        parts[split][file] = said
    return _build(root, parts, title)


def list_unlisted(root: Path, data: FoundData) -> list[str]:
    """Return the images below `root` that no table names, sorted."""
    parts = [data.train, data.val, data.test and data.test()]
    files = [part.images for part in parts if part is not None]
    named = {name for each in files if isinstance(each, ImageFiles) for name in each.names}
    return sorted(name for name in walk(root, "").images if name not in named)


def _build(root: Path, parts: Mapping[str, Mapping[str, _Said]], title: str) -> FoundData:
    classes = tuple(sorted({said.label for said in parts["train"].values()}))
    numbers = {name: number for number, name in enumerate(classes)}
    for split in ("val", "test"):
        unseen = sorted({said.label for said in parts[split].values()} - numbers.keys())
        if unseen:
            hint = did_you_mean(unseen[0], classes)
            raise DataError(
                f"{title}: the {split} split has labels that train has not: {join_names(unseen)}."
                f"{hint}"
            )

    def gather(split: str) -> LabelledImages:
        # In the order of class and name, as of folders: a table shuffled anew changes nothing.
        said = parts[split]
        rows = sorted((numbers[each.label], name) for name, each in said.items())
        images = ImageFiles(root, tuple(name for _, name in rows))
        labels = as_labels([label for label, _ in rows])
        if split == "test":
            return LabelledImages(images, labels)
        return LabelledImages(images, labels, np.array([said[name].weight for _, name in rows]))

    val = gather("val") if parts["val"] else None
    test = (lambda: gather("test")) if parts["test"] else None
    return drop_even_weights(FoundData(title, classes, gather("train"), val, test))


def _name_split_of(line: Line, table: _Table, where: str) -> str:
    """Return train, val or test."""
    if not line.split:
        return table.split or "train"
    split = name_split(line.split)
    if split is None:
        allowed = "allowed: train, val, test, or nothing for train"
        raise DataError(f"{where}: {show(line.split)} is no split; {allowed}")
    return split


def _is_class(root: Path, name: str) -> bool:
    """Return whether a folder may be a class: it is named as no split and as no place of images.

    A split with folders of classes in it counts as two classes.
    """
    if name_split(name):
        return bool([each for each in list_folders(root / name) if not name_split(each)])
    return not is_place(name) and not is_unlabelled(name)


def _tables_in(root: Path, folder: Path, split: str | None) -> Iterator[_Table]:
    """Yield the tables in a folder, by their names; `split` is what the folder itself is."""
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in ENDINGS or not file.is_file():
            continue
        stem = file.stem.lower()
        own = name_split(_OF_LABELS.sub("", file.stem))
        if stem in _ANY_SPLIT or (own is not None and split in (None, own)):
            yield _Table(file, split or own, folder.relative_to(root).as_posix())


def _has_labels(file: Path) -> bool:
    try:
        next(read_lines(file, ""), None)
    except DataError:
        return False
    return True


def find_named(root: Path, labels: str, title: str) -> _Table:
    """Return the table that `data.labels` names."""
    given = Path(labels).expanduser()
    for file in (root / given, root.parent / given):
        if file.is_file():
            inside = file.parent.is_relative_to(root)
            return _Table(file, None, file.parent.relative_to(root).as_posix() if inside else ".")
    hint = did_you_mean_path(root / given, ENDINGS)
    raise DataError(
        f"{title}: data.labels: there is no {labels} in {root.absolute()} or beside it.{hint}"
    )
