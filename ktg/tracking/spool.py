"""Records on the disk before they are in the store, so that a process that is killed loses none of them."""

import fcntl
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ktg.tracking.records import Record, head_line, line_of

PREFIX, SUFFIX = "mlflow-undelivered-", ".jsonl"


class Spool:
    """A file of the records that are on their way. Its process holds a lock on it, which ends with the process.

    A disk that takes no more is no reason to stop: records then are in memory only, as `working` says.
    """

    def __init__(self, folder: Path, experiment: str) -> None:
        self.path = new_file(folder)
        self.working = True
        self._head = head_line(experiment)
        self._file: IO[str] | None = None

    def add(self, record: Record) -> None:
        """Write a record; it survives the death of this process."""
        if self.working:
            try:
                file = self._file or self._open()
                file.write(line_of(record))
                file.flush()
            except OSError:
                self.working = False

    def clear(self) -> None:
        """Forget all records: the store has them."""
        if self._file is not None and self.working:
            try:
                self._file.seek(len(self._head))
                self._file.truncate()
            except OSError:
                self.working = False

    def remove(self) -> None:
        """Delete the file."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def _open(self) -> IO[str]:
        # Only ASCII is written, so that places in the file are counts of characters.
        self._file = self.path.open("w", encoding="ascii")
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._file.write(self._head)
        return self._file


def new_file(folder: Path) -> Path:
    """Return a name for a file of records."""
    return folder / f"{PREFIX}{uuid.uuid4().hex[:8]}{SUFFIX}"


@contextmanager
def orphaned(folder: Path, experiment: str) -> Iterator[list[Path]]:
    """Yield the files of records of an experiment that no living process owns, the oldest first.

    They are locked meanwhile, so that two processes do not both deliver them.
    """
    held: dict[Path, IO[str]] = {}
    try:
        for path in sorted(folder.glob(f"{PREFIX}*{SUFFIX}"), key=lambda path: path.stat().st_mtime):
            file: IO[str] = path.open("r+", encoding="utf-8")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine = json.loads(file.readline() or "{}").get("experiment") == experiment
            except (OSError, ValueError):
                mine = False
            if mine:
                held[path] = file
            else:
                file.close()
        yield list(held)
    finally:
        for file in held.values():
            file.close()
