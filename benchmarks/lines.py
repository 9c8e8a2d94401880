"""Reads and appends the lines of a file of measurements, which may have been cut off."""

import json
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def read_lines(file: Path) -> list[Line]:
    """Return what was measured; a last line that was cut off is left out."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    found = []
    for number, line in enumerate(lines):
        try:
            found.append(json.loads(line))
        except ValueError:
            if number + 1 < len(lines):
                raise SystemExit(f"{file}: line {number + 1} is no JSON") from None
    return found


def append_line(file: Path, line: Line) -> None:
    """Append a measurement; a last line that was cut off goes."""
    whole = file.read_bytes() if file.is_file() else b""
    if not whole.endswith(b"\n"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(whole[: whole.rfind(b"\n") + 1])
    with file.open("a", encoding="utf-8") as opened:
        opened.write(json.dumps(line) + "\n")
