"""Reads the rows of a table: a CSV file, also with semicolons or tabs, or JSON lines.

Blank lines are passed over, and cells are stripped.
"""

import csv
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ktg.errors import DataError, show

ADVICE = "save it as CSV in UTF-8"
# A first line by which Excel is told the delimiter.
_DELIMITER = re.compile(r"sep=(.)")
_WIDE = (b"\xff\xfe", b"\xfe\xff")  # how files in UTF-16 begin


def read_rows(file: Path, lead: str, what: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the number and the cells of each line, the heading first.

    Bytes that are not UTF-8 stay in the texts as surrogates, because names of files may have them;
    `is_text` tells. Raises DataError that begins with `lead` for a file that is not `what`, as "a
    table of labels", and for a line with more cells than the heading.
    """
    try:
        content = file.read_bytes()
        if content.startswith(_WIDE) or b"\0" in content:
            raise ValueError(f"it is not text in UTF-8; {ADVICE}")
        # utf-8-sig: spreadsheets begin their files with a mark.
        text = content.decode("utf-8-sig", "surrogateescape")
        if file.suffix.lower() == ".jsonl":
            yield from _read_json(text)
        else:
            yield from _check_widths(_read_csv(text), lead)
    except (OSError, csv.Error, ValueError) as error:
        raise DataError(f"{lead} cannot be read as {what} ({error})") from error


def is_text(cell: str) -> bool:
    """Return whether a cell was UTF-8 in its file."""
    return not any("\ud800" <= letter <= "\udfff" for letter in cell)


def _read_csv(text: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield line numbers and cells, the heading first."""
    lines = text.splitlines()
    said = _DELIMITER.fullmatch(lines[0].strip('"')) if lines else None
    above = 1 if said else 0
    heading = lines[above] if len(lines) > above else ""
    delimiter = said[1] if said else max(",;\t", key=heading.count)
    reader = csv.reader(lines[above:], delimiter=delimiter)
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num + above, [cell.strip() for cell in cells]


def _check_widths(
    rows: Iterable[tuple[int, Sequence[str]]], lead: str
) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the rows. Raises DataError for one that says something beyond the columns.

    An unquoted comma in a label would else cut it off, and make one class of several.
    """
    columns: int | None = None
    for number, cells in rows:
        columns = len(cells) if columns is None else columns
        if any(cells[columns:]):
            problem = f"{len(cells)} cells for {columns} columns, the last {show(cells[-1])}"
            raise DataError(
                f"{lead}: line {number}: {problem}; put a text with the delimiter into quotes"
            )
        yield number, cells


def _read_json(text: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield line numbers and cells of JSON lines, the keys of all lines before."""
    rows: dict[int, dict[str, Any]] = {}
    for number, line in enumerate(text.split("\n"), 1):  # strings may hold U+2028
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:  # which counts lines within this one
            raise ValueError(f"line {number}, column {error.colno}: {error.msg}") from error
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is no JSON object")
        rows[number] = row
    # Of all lines: `split` may be missing from the first ones.
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    if rows:
        yield next(iter(rows)), keys
    for number, row in rows.items():
        yield number, [_to_cell(row.get(key)) for key in keys]


def _to_cell(value: object) -> str:
    """Return a JSON value as a cell; what is missing, as pandas writes it too, is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).strip()
