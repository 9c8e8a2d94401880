"""Reads which images belong together, from a table with a column of files and one of groups."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ktg.data.found_data import FoundData, LabelledImages
from ktg.data.image_names import ImageNames
from ktg.data.split import count_per_class, list_groups
from ktg.data.table_rows import read_rows
from ktg.data.undecoded import ImageFiles
from ktg.errors import DataError, did_you_mean_path, join_names

FILE, GROUP = COLUMNS = ("file", "group")
WHAT = "a table of groups"


def add_groups(data: FoundData, place: str, base: Path | None) -> FoundData:
    """Return the data set with the groups of a table for the images that splits are drawn from.

    place: the table, relative to `base`. Its files are named as in a table of labels, below the
    folder of the images; those of an official test or validation split have no use for a group.
    Raises DataError that names table and line for what cannot be used.
    """
    table = (base or Path.cwd()) / Path(place).expanduser()
    lead = f"data.groups: {place}"
    if not table.is_file():
        hint = did_you_mean_path(table, (".csv", ".tsv", ".jsonl"))
        raise DataError(f"{lead} does not exist (looked for {table.absolute()}).{hint}")
    files = data.train.images
    if not isinstance(files, ImageFiles):
        raise DataError(f"{lead}: groups are of images in a folder, and {data.title} is none")
    return replace(data, train=_group(data.train, files, _read(table, files.root, lead)))


def check_groups(data: FoundData, place: str) -> None:
    """Raise DataError for a class that is too few groups of the table `place` for its splits."""
    needed = 1 + (data.val is None) + (data.test is None)
    main = list_groups(data.train.labels, data.train.groups)[1]
    counts = zip(data.classes, count_per_class(main, len(data.classes)), strict=True)
    few = [f"{name} ({count})" for name, count in counts if count < needed]
    if few:
        problem = f"every class needs at least {needed} groups, one for each split"
        raise DataError(f"data.groups: {place}: {problem}; too few: {join_names(few)}")


def _read(table: Path, root: Path, lead: str) -> dict[str, str]:
    """Return the group of each image, by its name below `root`."""
    rows = iter(read_rows(table, lead, WHAT))
    number, heading = next(rows, (1, ()))
    plain = [name.lower() for name in heading]
    if not set(COLUMNS) <= set(plain):
        problem = f"no columns {FILE} and {GROUP} among {join_names(heading) or 'none'}"
        raise DataError(f"{lead}: line {number}: {problem}; name two so in the first line")
    places = [plain.index(name) for name in COLUMNS]
    there = list[tuple[str, str, str]]()
    for number, cells in rows:
        where = f"{lead}: line {number}"
        if len(cells) <= max(places):
            raise DataError(f"{where}: {len(cells)} of {len(heading)} columns are there")
        file, group = (cells[place] for place in places)
        there.append((where, file, group))
    images, found = ImageNames(root, (file for _, file, _ in there)), dict[str, str]()
    for where, file, group in there:
        name = images.find(file, ".", where)
        if found.setdefault(name, group) != group:
            raise DataError(f"{where}: {file} is in the group {found[name]} in a line before")
    return found


def _group(images: LabelledImages, files: ImageFiles, groups: Mapping[str, str]) -> LabelledImages:
    """Return images with groups, numbered from 0 in the order of their first images."""
    known = dict[object, int]()
    numbers = [
        known.setdefault(groups.get(name) or (row,), len(known))
        for row, name in enumerate(files.names)
    ]
    return replace(images, groups=np.array(numbers, dtype=np.int64))
