"""Makes folders of the cache, each by one process, for all: complete, or not there at all."""

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from ktg.data.cache_limit import hold, trim


def make_entry(entry: Path, write: Callable[[Path], None], *, resume: bool = False) -> None:
    """Make a folder of the cache unless it is there, and keep it from being removed meanwhile.

    `write` is called with a folder in which it puts everything; that is renamed when all is there,
    so a process that is killed leaves nothing that looks like an entry. resume: what an earlier
    process has left there is kept for `write` to go on with. Other processes that want the entry
    wait. Those used longest ago, with the same suffix, then make room. Raises OSError.
    """
    entry.parent.mkdir(parents=True, exist_ok=True)
    if hold(entry):
        return
    with FileLock(entry.with_suffix(".lock")):
        if hold(entry):  # it was made while this process waited
            return
        begun = entry.with_name(f"{entry.name}.tmp")
        if not resume:
            shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir(exist_ok=True)
        try:
            write(begun)
            begun.rename(entry)
        finally:
            if not resume:
                shutil.rmtree(begun, ignore_errors=True)
        hold(entry)
        trim(entry.parent.glob(f"*{entry.suffix}"))
