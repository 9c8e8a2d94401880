"""Says what the cache holds, and clears it of what no process uses."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ktg.data.cache_limit import (
    measure_bytes,
    read_limit_bytes,
    remove_unless_held,
    remove_unless_locked,
)
from ktg.local import cache_folder

_KINDS: dict[str, tuple[tuple[str, ...], Callable[[Path], bool]]] = {
    "images": (("images/*.pixels", "images/*.index"), remove_unless_held),
    "archives": (("archives/*.archive",), remove_unless_held),
    "views": (("views/*.view",), remove_unless_held),
    "teachers": (("solo/*.safetensors",), remove_unless_locked),
    "answers": (("answers/*.answers", "answers/*.answers.tmp"), remove_unless_held),
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
    for kind, (_, remove) in _KINDS.items():
        for entry in find_entries(kind):
            remove(entry)
    return show_cache()


def find_entries(kind: str) -> dict[Path, int]:
    """Return the entries of one kind with their sizes in bytes."""
    found = {}
    for pattern in _KINDS[kind][0]:
        for entry in sorted(cache_folder().glob(pattern)):
            try:
                found[entry] = measure_bytes(entry)
            except OSError:  # another process has just removed it
                continue
    return found
