"""Writes records to the disk before they are in the store: a killed process loses none."""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from ktg.local import cache_folder
from ktg.tracking.records import Record, format_head, format_record

PREFIX, SUFFIX = "mlflow-undelivered-", ".jsonl"
REFUSED_PREFIX = "mlflow-refused-"  # of files that nobody sends again


class Spool:
    """A file of undelivered records. Its process holds a lock on it, which ends with the process.

    store: the address they are for. When the disk is full, records stay in memory only, and
    `working` is False.
    """

    def __init__(self, folder: Path, experiment: str, store: str) -> None:
        self.path = new_file(folder)
        self.working = True
        self.records = 0
        self._head = format_head(experiment, store)
        self._file: IO[bytes] | None = None

    def add(self, record: Record) -> None:
        """Write a record; it survives the death of this process."""
        if self.working:
            try:
                file = self._file or self._open()
                _write(file, format_record(record))
                self.records += 1
            except OSError:
                self.working = False

    def clear(self) -> None:
        """Delete all records, once the store has them."""
        if self._file is not None and self.working:
            try:
                self._file.seek(len(self._head))
                self._file.truncate()
                self.records = 0
            except OSError:
                self.working = False

    def remove(self) -> None:
        """Delete the file."""
        if self._file is not None:
            self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def _open(self) -> IO[bytes]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Unbuffered, or a full disk would be sent the rest once more when the file is closed.
        self._file = self.path.open("wb", buffering=0)
        fcntl.flock(self._file, fcntl.LOCK_EX)  # another process may just be looking whose it is
        _write(self._file, self._head)
        return self._file


def _write(file: IO[bytes], line: str) -> None:
    """Write a whole line; a disk that fills up takes a part, and fails at the next call."""
    data = line.encode("ascii")
    while data:
        data = data[file.write(data) :]


def undelivered_folder() -> Path:
    """Return the folder of files of records. It need not exist yet."""
    return cache_folder() / "undelivered"


def new_file(folder: Path, prefix: str = PREFIX) -> Path:
    """Return a name for a file of records."""
    return folder / f"{prefix}{uuid.uuid4().hex[:8]}{SUFFIX}"


@contextlib.contextmanager
def lock_orphaned(folder: Path, store: str) -> Iterator[list[Path]]:
    """Yield the files of records for a store that no living process owns, the oldest first.

    Looks in `folder` and in the temporary one, where files go if `folder` is full. The files are
    locked meanwhile, so that two processes do not both deliver them. Files of other users are left
    alone, because a record may name a file to be sent.
    """
    held: dict[Path, IO[str]] = {}
    found = [
        path
        for place in (folder, Path(tempfile.gettempdir()))
        for path in place.glob(f"{PREFIX}*{SUFFIX}")
    ]
    try:
        for path in sorted(found, key=_modified_s):
            with contextlib.suppress(OSError, ValueError), contextlib.ExitStack() as stack:
                file: IO[str] = stack.enter_context(path.open("r+", encoding="utf-8"))
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                mine = path.stat().st_uid == os.getuid()  # and still there
                if mine and json.loads(file.readline() or "{}").get("store") == store:
                    held[path] = file
                    stack.pop_all()
        yield list(held)
    finally:
        for owned in held.values():
            owned.close()


@contextlib.contextmanager
def hold_delivery(folder: Path, store: str, on_wait: Callable[[], None] | None) -> Iterator[bool]:
    """Be the only process that delivers to a store what dead ones left; yield whether it is.

    on_wait: called before this waits for another process that delivers; None: it does not wait.
    """
    if not folder.is_dir():
        yield True  # nobody has left anything
        return
    name = hashlib.sha256(store.encode()).hexdigest()[:8]
    with (folder / f"delivery-{name}.lock").open("a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is None:
                yield False
                return
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield True


def _modified_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # delivered by another process in the meantime
        return 0.0
