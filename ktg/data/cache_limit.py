"""Keeps a folder of the cache below a size: what was used longest ago goes first, unless in use.

The time of change of an entry, a file or a folder, is when it was used last. Where a file system
has no locks nothing is ever removed.
"""

import fcntl
import os
import shutil
import weakref
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ktg.errors import UserError, show

VARIABLE = "KTG_CACHE_GIB"
DEFAULT_GIB = 200.0
GONE = ".removed"


class Hold:
    """Keeps an entry from being removed for as long as this object lives."""

    def __init__(self, handle: int) -> None:
        weakref.finalize(self, os.close, handle)


_held: dict[Path, Hold] = {}


def read_limit_bytes() -> float:
    """Return the most bytes that a folder of the cache may take: `KTG_CACHE_GIB`, or 200 GiB.

    Raises UserError for what is no size.
    """
    text = os.environ.get(VARIABLE) or str(DEFAULT_GIB)
    try:
        limit = float(text)
    except ValueError:
        limit = -1.0
    if not limit >= 0:  # NaN is not
        raise UserError(f"{VARIABLE}: {show(text)} is not a size in GiB; allowed: 0 or more")
    return limit * 2**30


def hold(entry: Path) -> bool:
    """Return whether an entry is there; if so nobody removes it before this process ends.

    Raises OSError for one that may not be read.
    """
    found = hold_for_now(entry)
    if found is not None:
        _held[entry] = found
    return found is not None


def hold_for_now(entry: Path) -> Hold | None:
    """Return what keeps an entry from being removed, None where it is not there.

    It costs a file descriptor for as long as it lives. Raises OSError for one that may not be read.
    """
    while entry.exists():
        try:
            handle = os.open(entry, os.O_RDONLY)
        except FileNotFoundError:
            continue
        found = Hold(handle)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH)
        except OSError:
            return found
        with suppress(OSError):
            # It may have been removed and made again while this process waited for its lock.
            if os.path.samestat(os.fstat(handle), entry.stat()):
                with suppress(OSError):  # what another user has made may be read, but not touched
                    os.utime(entry)
                return found
    return None


def remove_unless_held(entry: Path) -> bool:
    """Remove an entry unless a process holds it; return whether it is gone."""
    try:
        handle = os.open(entry, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = entry.with_name(entry.name + GONE)
        entry.rename(gone)  # at once, so that no reader sees half of it
    except OSError:
        return False
    finally:
        os.close(handle)
    shutil.rmtree(gone, ignore_errors=True)
    return True


def remove_unless_locked(file: Path) -> bool:
    """Remove a file unless a process has the lock beside it; return whether it is gone."""
    try:
        with FileLock(file.with_suffix(".lock"), timeout=0):
            file.unlink(missing_ok=True)
    except (OSError, Timeout):
        return False
    return True


def trim(entries: Iterable[Path], remove: Callable[[Path], bool] = remove_unless_held) -> None:
    """Remove entries that were used longest ago until the others fit the limit.

    remove: removes an entry unless it is in use, and returns whether it is gone.
    """
    found = []
    for entry in entries:
        with suppress(OSError):
            found.append((entry.stat().st_mtime_ns, entry, measure_bytes(entry)))
    limit, total = read_limit_bytes(), sum(size for _, _, size in found)
    for _, entry, size in sorted(found):
        if total > limit and remove(entry):
            total -= size


def measure_bytes(entry: Path) -> int:
    """Return the size of a file, or of the files in a folder. Raises OSError."""
    files = entry.iterdir() if entry.is_dir() else [entry]
    return sum(file.stat().st_size for file in files)
