"""Reads the lines of a table of labels: finds its columns by their names."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ktg.data.table_rows import ADVICE, is_text, read_rows
from ktg.data.walk import is_image
from ktg.errors import DataError, join_names, show

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


def read_lines(file: Path, title: str) -> Iterator[Line]:
    """Yield the lines of a table. Raises DataError for what is none."""
    lead = f"{title}: {file.name}" if title else file.name
    for line in _pick_columns(read_rows(file, lead, "a table of labels"), lead):
        if not is_text(line.label):
            problem = f"the label {show(line.label)} is not UTF-8"
            raise DataError(f"{lead}: line {line.number}: {problem}; {ADVICE}")
        yield line


def has_named_labels(heading: Iterable[str]) -> bool:
    """Return whether a column is called as one of labels, such as "species"."""
    return any(_simplify(name) in _COLUMNS["label"] for name in heading)


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
    plain = [_simplify(name) for name in heading]
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


def _simplify(name: str) -> str:
    return name.lower().replace(" ", "_")
