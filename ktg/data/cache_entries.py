"""Makes folders of the cache, each by one process, for all: complete, or not there at all."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from ktg.data.cache_limit import Hold, hold_for_now, trim

Read = Callable[[Path], object]


def make_entry(
    entry: Path,
    write: Callable[[Path], None],
    *,
    resume: bool = False,
    read: Read = lambda entry: None,
) -> Hold | None:
    """Make a folder of the cache unless it is there; return what keeps it from being removed.

    `write` is called with a folder in which it puts everything; that is renamed when all is there,
    so a process that is killed leaves nothing that looks like an entry. resume: what an earlier
    process has left there is kept for `write` to go on with. read: opens an entry; one for which it
    raises ValueError, EOFError or FileNotFoundError is broken, and is made again. Other processes
    that want the entry wait. Those used longest ago, with the same suffix, then make room.

    Returns None where another process has removed the entry at once. Raises OSError.
    """
    entry.parent.mkdir(parents=True, exist_ok=True)
    if held := _find(entry, read):
        return held
    with FileLock(entry.with_suffix(".lock")):
        if held := _find(entry, read):  # it was made while this process waited
            return held
        shutil.rmtree(entry, ignore_errors=True)  # what is there is broken
        begun = entry.with_name(f"{entry.name}.tmp")
        if not resume:
            shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir(exist_ok=True)
        try:
            write(begun)
            sync(begun)
            begun.rename(entry)
        finally:
            if not resume:
                shutil.rmtree(begun, ignore_errors=True)
        held = hold_for_now(entry)
        trim(entry.parent.glob(f"*{entry.suffix}"))
        return held


def sync(path: Path) -> None:
    """Write a file, or the files of a folder, to the disk itself, before they are renamed.

    Otherwise the name may be there first, and a power cut would leave it without its content.
    """
    for file in path.iterdir() if path.is_dir() else [path]:
        with file.open("rb") as opened:
            os.fsync(opened.fileno())


def _find(entry: Path, read: Read) -> Hold | None:
    """Return what holds an entry that can be read; None for one that is broken or not there."""
    held = hold_for_now(entry)
    if held is not None:
        with suppress(ValueError, EOFError, FileNotFoundError):
            read(entry)
            return held
    return None
