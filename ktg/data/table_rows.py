"""Reads the rows of a table: a CSV file, also with semicolons or tabs, or JSON lines.

Blank lines are passed over, and cells are stripped.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ktg.errors import DataError


def read_rows(file: Path, lead: str, what: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield the number and the cells of each line, the heading first.

    Raises DataError that begins with `lead` for a file that is not `what`, as "a table of labels".
    """
    try:
        # utf-8-sig: spreadsheets begin their files with a mark.
        text = file.read_text(encoding="utf-8-sig")
        yield from _read_json(text) if file.suffix.lower() == ".jsonl" else _read_csv(text)
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(f"{lead} cannot be read as {what} ({error})") from error


def _read_csv(text: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield line numbers and cells, the heading first."""
    heading = text.partition("\n")[0]
    delimiter = max(",;\t", key=heading.count)
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    for cells in reader:
        if any(cell.strip() for cell in cells):
            yield reader.line_num, [cell.strip() for cell in cells]


def _read_json(text: str) -> Iterator[tuple[int, Sequence[str]]]:
    """Yield line numbers and cells of JSON lines, the keys of the first line before."""
    keys: list[str] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        row: Any = json.loads(line)
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is no JSON object")
        if keys is None:
            keys = list(row)
            yield number, keys
        values = (row.get(key) for key in keys)
        yield number, ["" if value is None else str(value).strip() for value in values]
