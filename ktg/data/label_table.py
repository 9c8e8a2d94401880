"""Reads data sets whose labels stand in a table beside the images, as Kaggle and Hugging Face do.

A table is a CSV file (also with semicolons or tabs) or JSON lines with a column of files, a column
of labels and, if wanted, one of splits and one of weights, which say how much a label counts.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ktg.data.found_data import FoundData, LabelledImages, as_labels, drop_even_weights
from ktg.data.split_folders import is_unlabelled, name_split
from ktg.data.table_rows import read_rows
from ktg.data.undecoded import ImageFiles
from ktg.data.walk import is_image, list_folders, walk
from ktg.errors import DataError, did_you_mean, did_you_mean_path, join_names, show

UNDERSTOOD = (
    "understood are a folder for each class (cat/, dog/), train/ and test/ (and val/) of such "
    "folders, and a table of labels beside the images (labels.csv, train.csv or metadata.csv, or "
    "what data.labels names) with a column of files and a column of labels"
)
# How columns are called, the best name first; compared in lower case, with _ for spaces.
_COLUMNS = {
    "file": (
        "file",
        "file_name",
        "filename",
        "filepath",
        "file_path",
        "path",
        "image",
        "image_name",
        "image_path",
        "image_id",
        "imageid",
        "img",
        "id_code",
        "id",
        "name",
    ),
    "label": (
        "label",
        "labels",
        "class",
        "class_name",
        "category",
        "target",
        "species",
        "breed",
        "diagnosis",
        "level",
        "y",
    ),
    "split": ("split", "subset", "partition", "set"),
    "weight": ("weight",),
}
_ANY_SPLIT = ("metadata", "labels", "annotations")
_OF_LABELS = re.compile(r"[_ -]?(labels?|annotations?)$", re.IGNORECASE)
_PLACES = re.compile(r"(images?|imgs?|photos?|pictures?|data|files|jpe?gs?|pngs?)", re.IGNORECASE)
_SHOWN = 3


@dataclass(frozen=True)
class Line:
    """A line of a table: the number of the line, and the cells that count, "" where empty."""

    number: int
    file: str
    label: str
    split: str
    weight: str = ""

    def read_weight(self, where: str) -> float:
        """Return the weight, 1 where there is none. Raises DataError unless it is 0 or above."""
        try:
            weight = float(self.weight or 1)
        except ValueError:
            weight = math.nan
        if not 0 <= weight < math.inf:
            allowed = "allowed: a number from 0 on (0: the label is not used), or nothing for 1"
            raise DataError(f"{where}: {show(self.weight)} is no weight of a label; {allowed}")
        return weight


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


def read_table_folder(root: Path, labels: str | None, title: str) -> FoundData | None:
    """Return the data set in `root` with the labels of a table; None where there is no table.

    labels: the table, relative to `root` or beside it; default: what `find_tables` finds. Only
    one that is named here weighs labels: of a table that came with images a column `weight` may
    be in grams.
    Raises DataError that names file and line for a line without a file or label that can be used.
    """
    tables = find_tables(root) if labels is None else [_find_named(root, labels, title)]
    if not tables:
        return None
    splits = [each.split or "train" for each in tables]
    twice = next((each for each in tables if splits.count(each.split or "train") > 1), None)
    if twice is not None:
        both = join_names([each.place.name for each in tables])
        raise DataError(f"{title}: several tables of labels ({both}); name one with data.labels")
    images = ImageNames(walk(root, "").images)
    parts: dict[str, dict[str, _Said]] = {"train": {}, "val": {}, "test": {}}
    seen: dict[str, tuple[str, _Said, str]] = {}
    for table in tables:
        for line in read_lines(table.place, title):
            where = f"{title}: {table.at(line)}"
            split = _name_split_of(line, table, where)
            file = images.find(line.file, table.base, split, where)
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


class ImageNames:
    """The images below a folder, found by any end of their path, with or without their ending."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = places
        self._by_end = defaultdict[str, list[str]](list)
        for name in places:
            parts = name.split("/")
            for start in range(1, len(parts) + 1):
                end = "/".join(parts[-start:])
                self._by_end[end].append(name)
                self._by_end[end.rpartition(".")[0]].append(name)

    def find(self, wanted: str, base: str, split: str, where: str) -> str:
        """Return the image that a table in the folder `base` calls `wanted`. Raises DataError."""
        clean = wanted.replace("\\", "/").removeprefix("./")
        for exact in (f"{base}/{clean}".removeprefix("./"), clean):
            if exact in self.places:
                return exact
        found = self._by_end.get(clean.lstrip("/"), [])
        if len(found) > 1:  # as train/1.jpg and test/1.jpg
            own = [name for name in found if name_split(name.partition("/")[0]) == split]
            found = own or found
        if len(found) == 1:
            return found[0]
        if found:
            both = " or ".join(sorted(found)[:_SHOWN])
            raise DataError(f"{where}: {show(wanted)} may be {both}; write its folder, too")
        hint = did_you_mean(Path(clean).name, [Path(name).name for name in self.places])
        problem = "no file is named" if not wanted else f"there is no image {show(wanted)}"
        raise DataError(f"{where}: {problem}.{hint if wanted else ''}")


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
    return _PLACES.fullmatch(name) is None and not is_unlabelled(name)


def _tables_in(root: Path, folder: Path, split: str | None) -> Iterator[_Table]:
    """Yield the tables in a folder, by their names; `split` is what the folder itself is."""
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() not in (".csv", ".tsv", ".jsonl") or not file.is_file():
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


def _find_named(root: Path, labels: str, title: str) -> _Table:
    """Return the table that `data.labels` names."""
    given = Path(labels).expanduser()
    for file in (root / given, root.parent / given):
        if file.is_file():
            inside = file.parent.is_relative_to(root)
            return _Table(file, None, file.parent.relative_to(root).as_posix() if inside else ".")
    hint = did_you_mean_path(root / given, (".csv", ".tsv", ".jsonl"))
    raise DataError(
        f"{title}: data.labels: there is no {labels} in {root.absolute()} or beside it.{hint}"
    )


def read_lines(file: Path, title: str) -> Iterator[Line]:
    """Yield the lines of a table. Raises DataError for what is none."""
    lead = f"{title}: {file.name}" if title else file.name
    yield from _pick_columns(read_rows(file, lead, "a table of labels"), lead)


def _pick_columns(rows: Iterable[tuple[int, Sequence[str]]], lead: str) -> Iterator[Line]:
    """Yield the columns that count. A table of two columns needs no heading."""
    rows = iter(rows)
    number, heading = next(rows, (1, ()))
    if len(heading) == 2 and is_image(heading[0]):
        columns: dict[str, int | None] = {"file": 0, "label": 1, "split": None, "weight": None}
        yield Line(number, heading[0], heading[1], "")
    else:
        columns = _name_columns(heading, lead)
    for number, cells in rows:
        picked = {
            what: "" if place is None or place >= len(cells) else cells[place]
            for what, place in columns.items()
        }
        yield Line(number, **picked)


def _name_columns(heading: Sequence[str], lead: str) -> dict[str, int | None]:
    """Return the place of each column; a label may be called anything where it is alone."""
    plain = [name.lower().replace(" ", "_") for name in heading]
    columns = {
        what: next((plain.index(name) for name in names if name in plain), None)
        for what, names in _COLUMNS.items()
    }
    others = [place for place in range(len(plain)) if place not in columns.values()]
    if columns["file"] is not None and columns["label"] is None and len(others) == 1:
        columns["label"] = others[0]
    for what in ("file", "label"):
        if columns[what] is None:
            allowed = ", ".join(_COLUMNS[what])
            raise DataError(
                f"{lead}: line 1: no column of {what}s among {join_names(heading) or 'none'}; "
                f"call one {_COLUMNS[what][0]} (understood: {allowed})"
            )
    return columns
