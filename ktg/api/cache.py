"""Says what the cache holds, and clears it of what no process uses."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ktg.data.cache_kinds import ANSWERS, ARCHIVES, IMAGES, TEACHERS, VIEWS
from ktg.data.cache_limit import measure_bytes, read_limit_bytes
from ktg.local import cache_folder

_KINDS = {
    "images": IMAGES,
    "archives": ARCHIVES,
    "views": VIEWS,
    "teachers": TEACHERS,
    "answers": ANSWERS,
}


@dataclass(frozen=True)
class CachedKind:
    """What the cache holds of one kind.

    These are decoded images, unpacked archives, views drawn once, teachers that were trained alone
    (and probes), and what teachers answer to images.
    """

    kind: str
    entries: int
    size_bytes: int


@dataclass(frozen=True)
class CacheContents:
    """The folder of the cache, what it holds, and the most bytes that each kind may take."""

    folder: Path
    kept: tuple[CachedKind, ...]
    limit_bytes: float

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        limit = None if self.limit_bytes == float("inf") else self.limit_bytes
        kept = [asdict(each) for each in self.kept]
        return {"folder": str(self.folder), "limit_bytes": limit, "kept": kept}


def show_cache() -> CacheContents:
    """Return what the cache holds. Raises UserError for a limit that is no size."""
    kept = []
    for kind in _KINDS:
        entries = find_entries(kind)
        kept.append(CachedKind(kind, len(entries), sum(entries.values())))
    return CacheContents(cache_folder(), tuple(kept), read_limit_bytes())


def clear_cache() -> CacheContents:
    """Remove everything that can be made again; return what is left, because it is used."""
    for kind, named in _KINDS.items():
        for entry in find_entries(kind):
            named.remove(entry)
    return show_cache()


def find_entries(kind: str) -> dict[Path, int]:
    """Return the entries of one kind with their sizes in bytes."""
    found = {}
    for entry in _KINDS[kind].find(begun=True):
        try:
            found[entry] = measure_bytes(entry)
        except OSError:  # another process has just removed it
            continue
    return found
