"""Finds the images that a table names: by their whole path, or by the end of it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from unicodedata import normalize

from ktg.data.split_folders import name_split
from ktg.data.table_rows import ADVICE, is_text
from ktg.data.walk import walk
from ktg.errors import DataError, did_you_mean, show

_SHOWN = 3


@dataclass(frozen=True)
class Belonging:
    """To which split an image belongs that a table names.

    `stated`: whether its line says so, and not only the name or the place of the table.
    """

    split: str
    stated: bool = False


class ImageNames:
    """The images below a folder, found by any end of their path, with or without their ending.

    `places` maps their names to their real places. Names are compared in the Unicode form NFC: a
    Mac writes e and its accent apart. `wanted` are all paths of a table. Folders that all of them
    begin with are left out where no image is found with them, as after the data were moved; of one
    path alone none is, or a missing b/1.jpg would be taken for a/1.jpg.
    """

    def __init__(self, root: Path, wanted: Iterable[str] = ()) -> None:
        self.places = walk(root, "").images
        # As the user gave it, and without links.
        self._roots = {f"{_clean(str(path))}/" for path in (root.absolute(), root.resolve())}
        self._whole = defaultdict[str, list[str]](list)
        self._by_end = defaultdict[str, list[str]](list)
        self._splits = {name_split(name.partition("/")[0]) for name in self.places}
        for name in self.places:
            parts = normalize("NFC", name).split("/")
            self._whole["/".join(parts).removeprefix("./")].append(name)
            for start in range(1, len(parts) + 1):
                end = "/".join(parts[-start:])
                self._by_end[end].append(name)
                self._by_end[end.rpartition(".")[0]].append(name)
        self._left_out = self._count_left_out([self._shorten(each) for each in wanted if each])

    def find(self, wanted: str, base: str, where: str, belongs: Belonging | None = None) -> str:
        """Return the image that a table in the folder `base` calls `wanted`.

        belongs: an image in the folder of another split is not taken for it; None: one of any split
        is, of several that of training. Raises DataError.
        """
        clean = self._shorten(wanted)
        for whole in (f"{base}/{clean}".removeprefix("./"), clean):
            if len(found := self._whole.get(whole, [])) == 1:
                return found[0]
        hits = self._by_end.get(_cut(clean, self._left_out), []) if wanted else []
        own = self._keep_own(hits, belongs)
        if len(own) == 1:
            return own[0]
        if own:
            both = " or ".join(sorted(own)[:_SHOWN])
            raise DataError(f"{where}: {show(wanted)} may be {both}; write its folder, too")
        if hits and belongs is not None:
            problem = (
                f"there is no {belongs.split} image {show(wanted)}, and {min(hits)} is another"
            )
            raise DataError(f"{where}: {problem}; write its folder, too, if it is not")
        raise DataError(f"{where}: {self._explain(wanted)}")

    def _shorten(self, wanted: str) -> str:
        """Return a path as names are: below the root if it lies there, in NFC."""
        clean = _clean(wanted)
        for root in self._roots:
            clean = clean.removeprefix(root)
        return clean.removeprefix("./")

    def _count_left_out(self, paths: Sequence[str]) -> int:
        """Return how many of the folders that all paths begin with are not of the data."""
        folders = [path.strip("/").split("/")[:-1] for path in paths]
        levels = zip(*folders, strict=False)
        shared = sum(1 for _ in takewhile(lambda level: len({*level}) == 1, levels))
        for left in range(shared + 1):
            if any(_cut(path, left) in self._by_end for path in paths):
                return left
        return 0

    def _keep_own(self, names: Sequence[str], belongs: Belonging | None) -> Sequence[str]:
        """Return the images that may belong to a split: of equal ends those in its own folder.

        Where there is a folder of the split, what lies in that of another is another image: a
        test/5.jpg when train/5.jpg is missing. A split that the line itself states may be cut from
        the folder of training.
        """
        kinds = {name: name_split(name.partition("/")[0]) for name in names}
        own = [name for name in names if kinds[name] == (belongs.split if belongs else "train")]
        if own or belongs is None:
            return own or names
        allowed = {belongs.split, "train"} if belongs.stated else {belongs.split}
        if not allowed & self._splits:
            return names
        return [name for name in names if kinds[name] is None or kinds[name] in allowed]

    def _explain(self, wanted: str) -> str:
        """Return why there is no such image."""
        if not wanted:
            return "no file is named"
        problem = f"there is no image {show(wanted)}"
        if not is_text(wanted):
            return f"{problem}, which is not UTF-8; {ADVICE}"
        names = [Path(name).name for name in self.places]
        return f"{problem}.{did_you_mean(Path(_clean(wanted)).name, names)}"


def _clean(path: str) -> str:
    return normalize("NFC", path.replace("\\", "/"))


def _cut(path: str, folders: int) -> str:
    """Return a path without its first folders: a/b/1.jpg and 1 -> b/1.jpg."""
    return "/".join(path.strip("/").split("/")[folders:])
