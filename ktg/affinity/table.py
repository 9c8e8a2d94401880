"""Reads tables of scores and accuracies: CSV with one row for each fine-tuned model."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ktg.errors import DataError, did_you_mean

Numbers = npt.NDArray[np.float64]

ACCURACY_NAMES = ("accuracy", "acc", "test_accuracy")
LEAST_ROWS = 3
_Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Table:
    """Score columns (N,) by name, the accuracy (N,) that they should predict, and row names.

    `models` is the first column that is neither number nor group, joined with the others of that
    kind; `groups` names the group of each row, or is None.
    """

    accuracy_name: str
    accuracy: Numbers
    scores: dict[str, Numbers]
    models: tuple[str, ...]
    groups: tuple[str, ...] | None

    def rows_by_group(self) -> dict[str, npt.NDArray[np.intp]]:
        """Return the rows of each group in the order of the file, or of one nameless group."""
        groups = np.array(self.groups or [""] * len(self.accuracy))
        return {
            str(group): np.flatnonzero(groups == group) for group in dict.fromkeys(groups.tolist())
        }


def read_table(path: Path, accuracy: str | None = None, group: str | None = None) -> Table:
    """Return the table in a CSV file. Raises DataError as `parse_table` does."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise DataError(f"{path}: cannot be read as a table ({reason})") from None
    return parse_table(text, str(path), accuracy, group)


def parse_table(
    text: str, path: str, accuracy: str | None = None, group: str | None = None
) -> Table:
    """Return the table in CSV text: comments that start with #, a header, then rows.

    Every column of numbers but the accuracy (default: `accuracy`, `acc` or `test_accuracy`) and the
    group is a score.
    Raises DataError, one sentence that begins with `path`, for a column that is not there, for
    cells that are no finite numbers (named by row and line) and for fewer than 3 rows, in a group
    too.
    """
    header, rows = _read(text, path)
    accuracy_name = _accuracy_column(path, header, accuracy)
    if group is not None:
        _check_column(path, header, group, "--group")
        if group == accuracy_name:
            raise DataError(f"{path}: --group and --accuracy both name {group!r}; give two columns")
    columns = {name: [row[place] for _, row in rows] for place, name in enumerate(header)}
    numeric = [
        name
        for name in header
        if name != group and (name == accuracy_name or any(map(_is_number, columns[name])))
    ]
    numbers = {name: _numbers(path, name, rows, header.index(name)) for name in numeric}
    names = [columns[name] for name in header if name not in numeric and name != group]
    table = Table(
        accuracy_name=accuracy_name,
        accuracy=numbers.pop(accuracy_name),
        scores=numbers,
        models=tuple(map("/".join, zip(*names, strict=True)))
        or tuple(f"row {n + 1}" for n in range(len(rows))),
        groups=None if group is None else tuple(columns[group]),
    )
    _check(path, table)
    return table


def _read(text: str, path: str) -> tuple[list[str], list[_Row]]:
    """Return the header and (line number, cells) of each row."""
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and line[0] != "#"
    ]
    cells = [[cell.strip() for cell in row] for row in csv.reader(line for _, line in lines)]
    rows = [(number, row) for (number, _), row in zip(lines, cells, strict=False)]
    if not rows:
        raise DataError(f"{path}: is empty; expected a header and a row for each model")
    header = rows[0][1]
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise DataError(f"{path}: the header has {', '.join(sorted(twice))} twice")
    for number, (line, row) in enumerate(rows[1:], 1):
        if len(row) != len(header):
            raise DataError(
                f"{path}: row {number} (line {line}) has {len(row)} cells; "
                f"the header has {len(header)}"
            )
    return header, rows[1:]


def _accuracy_column(path: str, header: Sequence[str], given: str | None) -> str:
    if given is not None:
        _check_column(path, header, given, "--accuracy")
        return given
    found = [name for name in header if name.lower() in ACCURACY_NAMES]
    if not found:
        raise DataError(
            f"{path}: there is no column {' or '.join(ACCURACY_NAMES)}; "
            f"columns: {', '.join(header)}. "
            "Name yours with --accuracy"
        )
    return found[0]


def _check_column(path: str, header: Sequence[str], name: str, option: str) -> None:
    if name not in header:
        hint = did_you_mean(name, header)
        raise DataError(
            f"{path}: {option}: there is no column {name!r}; columns: {', '.join(header)}.{hint}"
        )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _numbers(path: str, name: str, rows: Sequence[_Row], place: int) -> Numbers:
    values = np.array([float(row[place]) if _is_number(row[place]) else np.nan for _, row in rows])
    for number in np.flatnonzero(~np.isfinite(values)).tolist():
        line, row = rows[number]
        got = repr(row[place]) if row[place] else "nothing"
        raise DataError(
            f"{path}: row {number + 1} (line {line}) has {got} for {name}; expected a finite number"
        )
    return values


def _check(path: str, table: Table) -> None:
    if not table.scores:
        raise DataError(
            f"{path}: has no column of numbers besides {table.accuracy_name}; "
            "expected at least one score"
        )
    for group, rows in table.rows_by_group().items():
        where = f"group {group} has" if group else "has"
        if len(rows) < LEAST_ROWS:
            raise DataError(
                f"{path}: {where} {len(rows)} rows; a correlation needs at least {LEAST_ROWS}"
            )
        if np.ptp(table.accuracy[rows]) == 0:
            raise DataError(
                f"{path}: {where} the same {table.accuracy_name} in every row; "
                "no correlation is defined"
            )
