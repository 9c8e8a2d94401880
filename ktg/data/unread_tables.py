"""Finds tables of labels beside folders of images that are taken for the classes themselves."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from ktg.data.group_table import COLUMNS as GROUPS
from ktg.data.label_lines import has_named_labels, read_lines
from ktg.data.label_table import ENDINGS, list_usual_tables
from ktg.data.table_rows import read_rows
from ktg.data.walk import Walk
from ktg.errors import DataError, join_names

_SHOWN = 3


def find_unread_tables(root: Path) -> list[Path]:
    """Return the tables in a folder that have a column of files and one of labels, sorted."""
    files = (file for file in sorted(root.iterdir()) if file.suffix.lower() in ENDINGS)
    return [file for file in files if file.is_file() and _is_table(file)]


def refuse_contradicted(root: Path, classes: Mapping[str, Walk], title: str) -> None:
    """Raise DataError where a table beside class folders says that these are no classes.

    classes: what lies in each, by its place below `root`. The folders of a table are no classes
    where images of one have several labels and no label is the name of a folder, as where the
    images of HAM10000 lie in two parts. Of a column that is only taken for labels, such as a width
    in pixels, this proves nothing.
    """
    for table in find_unread_tables(root):
        if not _means_labels(root, table):
            continue
        lines = [(line.file, line.label) for line in read_lines(table, title) if line.label]
        found = defaultdict[str, set[str]](set)
        matched = 0
        for folder, label in _match(lines, classes):
            found[folder].add(label)
            matched += 1
        labels = {label for each in found.values() for label in each}
        names = {place.rpartition("/")[2].casefold() for place in classes}
        mixed = next((folder for folder, each in found.items() if len(each) > 1), None)
        few = 2 * len(labels) <= matched and 2 * matched > len(lines)
        if mixed is None or not few or names & {label.casefold() for label in labels}:
            continue
        shown = join_names(sorted(found[mixed]), _SHOWN)
        raise DataError(
            f"{title}: {table.name} gives the images in {mixed}/ several labels ({shown}), and no "
            f"label is the name of a folder; give data.labels: {table.name} (`ktg init --labels "
            f"{table.name}`), or move that table away if the folders are the classes"
        )


def _is_table(file: Path) -> bool:
    try:
        if next(read_lines(file, ""), None) is None:
            return False
        return {name.lower() for name in _read_heading(file)} != {*GROUPS}
    except DataError:
        return False


def _means_labels(root: Path, table: Path) -> bool:
    """Return whether a table is named as one of labels, or has a column that is."""
    return table in list_usual_tables(root) or has_named_labels(_read_heading(table))


def _read_heading(table: Path) -> list[str]:
    return [*next(iter(read_rows(table, table.name, "a table of labels")), (1, ()))[1]]


def _match(lines: list[tuple[str, str]], classes: Mapping[str, Walk]) -> Iterator[tuple[str, str]]:
    """Yield folder and label of each line whose image is found by its name, with it or without."""
    folders: dict[str, str | None] = {}
    for folder, found in classes.items():
        for name in found.images:
            own = name.rpartition("/")[2]
            for key in {own, own.rpartition(".")[0]}:
                # Of two images with one name none is meant for sure.
                folders[key] = None if folders.get(key, folder) != folder else folder
    for file, label in lines:
        place = folders.get(file.replace("\\", "/").rpartition("/")[2])
        if place is not None:
            yield place, label
