"""Names what the cache holds, once for those who keep it, who count it and who make room."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ktg.data.cache_limit import remove_unless_held, remove_unless_locked
from ktg.local import cache_folder


@dataclass(frozen=True)
class CacheKind:
    """Entries of one kind: files or folders of `folder`, whose names end in one of `endings`.

    remove: removes an entry unless it is in use, and returns whether it is gone. begun: the endings
    of what is not whole yet and will be gone on with.
    """

    folder: str
    endings: tuple[str, ...]
    remove: Callable[[Path], bool] = remove_unless_held
    begun: tuple[str, ...] = ()

    def place(self, key: str, cache: Path | None = None) -> Path:
        """Return where the entry of a key is. cache: another folder than $KTG_CACHE."""
        return (cache or cache_folder()) / self.folder / f"{key}{self.endings[0]}"

    def find(self, cache: Path | None = None, *, begun: bool = False) -> Iterator[Path]:
        """Yield the entries, with what has begun where that is wanted."""
        home = (cache or cache_folder()) / self.folder
        for ending in (*self.endings, *(self.begun if begun else ())):
            yield from sorted(home.glob(f"*{ending}"))


IMAGES = CacheKind("images", (".pixels", ".index"))
ARCHIVES = CacheKind("archives", (".archive",))
VIEWS = CacheKind("views", (".view",))
TEACHERS = CacheKind("solo", (".safetensors",), remove_unless_locked)
ANSWERS = CacheKind("answers", (".answers",), begun=(".answers.tmp",))
